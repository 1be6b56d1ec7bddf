/**
 * What node is started with where a test opens the embedded database. It lives for seconds there, and without this V8
 * spends half of what opening it costs on optimising WebAssembly that is gone before that pays. What runs is the same.
 */
export const WASM_FLAGS: readonly string[] = ['--liftoff-only']
