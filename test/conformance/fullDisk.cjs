// Preloaded into a process to play a disk that is full while the file RIALTO_TEST_FULL_DISK exists. Worker threads
// load it too, and so does the database, which writes through these functions.
const fs = require('node:fs')

const flag = process.env.RIALTO_TEST_FULL_DISK
const { writeSync } = fs
fs.writeSync = (descriptor, ...rest) => {
  if (descriptor > 2 && fs.existsSync(flag))
    throw Object.assign(new RangeError('ENOSPC: no space left on device, write'), {
      code: 'ENOSPC',
      errno: -28,
    })
  return writeSync(descriptor, ...rest)
}
