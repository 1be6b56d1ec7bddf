-- The journal. Ids are unique within an epoch; figures are exact; statuses are closed lists.

CREATE SCHEMA IF NOT EXISTS rialto;
--> statement-breakpoint
CREATE DOMAIN rialto.uint AS numeric(78, 0)
  CHECK (VALUE >= 0 AND VALUE <= 115792089237316195423570985008687907853269984665640564039457584007913129639935);
--> statement-breakpoint
CREATE DOMAIN rialto.address AS text CHECK (VALUE ~ '^0x[0-9a-f]{40}$');
--> statement-breakpoint
CREATE DOMAIN rialto.hash AS text CHECK (VALUE ~ '^0x[0-9a-f]{64}$');
--> statement-breakpoint
CREATE TABLE rialto.epochs (
  key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL UNIQUE,
  chain_id bigint NOT NULL CHECK (chain_id > 0),
  genesis_hash rialto.hash NOT NULL,
  begun_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (chain_id, genesis_hash)
);
--> statement-breakpoint
CREATE TABLE rialto.runs (
  epoch integer NOT NULL REFERENCES rialto.epochs,
  id text NOT NULL,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  agent text NOT NULL,
  account rialto.address NOT NULL,
  block_number rialto.uint NOT NULL,
  block_hash rialto.hash NOT NULL,
  status text NOT NULL CHECK (status IN ('started', 'decided', 'failed')),
  error text,
  snapshot_hash rialto.hash,
  intent text,
  reason text,
  source text CHECK (source IN ('quiet', 'rule', 'model', 'fallback')),
  fallback_reason text,
  candidates integer CHECK (candidates >= 0),
  inference_calls integer CHECK (inference_calls >= 0),
  model text,
  equity rialto.uint,
  health_factor rialto.uint,
  started_at timestamptz NOT NULL DEFAULT now(),
  decided_at timestamptz,
  PRIMARY KEY (epoch, id),
  -- A decision is there whole or not at all.
  CONSTRAINT runs_decision CHECK (
    num_nonnulls(snapshot_hash, intent, reason, source, candidates, inference_calls, equity, health_factor, decided_at)
      = CASE status WHEN 'decided' THEN 9 ELSE 0 END
  ),
  CONSTRAINT runs_fallback CHECK ((source IS NOT DISTINCT FROM 'fallback') = (fallback_reason IS NOT NULL))
);
--> statement-breakpoint
CREATE INDEX runs_by_agent ON rialto.runs (epoch, agent, seq);
--> statement-breakpoint
CREATE INDEX runs_by_equity ON rialto.runs (epoch, agent, account, equity);
--> statement-breakpoint
CREATE TABLE rialto.intents (
  epoch integer NOT NULL,
  id text NOT NULL,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  run_id text NOT NULL,
  -- Copied from the run, which never changes them: a join for them is what a planner without statistics gets wrong.
  agent text NOT NULL,
  account rialto.address NOT NULL,
  decided_on_block rialto.uint NOT NULL,
  action jsonb NOT NULL,
  status text NOT NULL CHECK (
    status IN ('proposed', 'denied', 'expired', 'signed', 'done', 'reverted', 'deviated')
  ),
  proposed_at timestamptz NOT NULL DEFAULT now(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (epoch, id),
  -- A run has at most one intent.
  UNIQUE (epoch, run_id),
  FOREIGN KEY (epoch, run_id) REFERENCES rialto.runs (epoch, id)
);
--> statement-breakpoint
CREATE INDEX intents_open ON rialto.intents (epoch, seq) WHERE status = 'proposed';
--> statement-breakpoint
CREATE INDEX intents_by_agent ON rialto.intents (epoch, agent, seq);
--> statement-breakpoint
CREATE TABLE rialto.verdicts (
  epoch integer NOT NULL,
  intent_id text NOT NULL,
  ordinal integer NOT NULL CHECK (ordinal >= 0),
  phase text NOT NULL CHECK (phase IN ('intent', 'effect')),
  allowed boolean NOT NULL,
  policy_version text NOT NULL,
  findings jsonb NOT NULL,
  given_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (epoch, intent_id, ordinal),
  FOREIGN KEY (epoch, intent_id) REFERENCES rialto.intents (epoch, id)
);
--> statement-breakpoint
CREATE TABLE rialto.attempts (
  epoch integer NOT NULL,
  id text NOT NULL,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  intent_id text NOT NULL,
  -- Copied from the intent, which never changes it.
  agent text NOT NULL,
  chain_id bigint NOT NULL CHECK (chain_id > 0),
  account rialto.address NOT NULL,
  nonce rialto.uint NOT NULL,
  nonces_used smallint NOT NULL CHECK (nonces_used IN (1, 2)),
  plan jsonb NOT NULL,
  plan_hash rialto.hash NOT NULL,
  signed_at rialto.uint NOT NULL,
  reserved rialto.uint NOT NULL,
  status text NOT NULL CHECK (
    status IN ('prepared', 'signed', 'broadcast', 'unknown', 'confirmed', 'reverted', 'dropped')
  ),
  raw bytea,
  hash rialto.hash,
  block_number rialto.uint,
  block_hash rialto.hash,
  spent rialto.uint,
  failure text,
  prepared_at timestamptz NOT NULL DEFAULT now(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (epoch, id),
  FOREIGN KEY (epoch, intent_id) REFERENCES rialto.intents (epoch, id),
  -- Bytes and hash come together, and whatever may be on the wire has them.
  CONSTRAINT attempts_bytes CHECK (
    (raw IS NULL) = (hash IS NULL)
      AND CASE status WHEN 'prepared' THEN raw IS NULL WHEN 'dropped' THEN true ELSE raw IS NOT NULL END
  ),
  CONSTRAINT attempts_mined CHECK (
    num_nonnulls(block_number, block_hash) = CASE WHEN status IN ('confirmed', 'reverted') THEN 2 ELSE 0 END
  ),
  CONSTRAINT attempts_spent CHECK ((spent IS NOT NULL) = (status IN ('confirmed', 'reverted', 'dropped'))),
  CONSTRAINT attempts_failure CHECK (
    (failure IS NOT NULL) = (status IN ('unknown', 'reverted', 'dropped'))
  )
);
--> statement-breakpoint
CREATE INDEX attempts_by_time ON rialto.attempts (epoch, agent, account, signed_at);
--> statement-breakpoint
CREATE INDEX attempts_open ON rialto.attempts (epoch, account, nonce)
  WHERE status IN ('prepared', 'signed', 'broadcast', 'unknown');
--> statement-breakpoint
CREATE INDEX attempts_by_intent ON rialto.attempts (epoch, intent_id);
--> statement-breakpoint
-- Who holds which nonce: the one place that keeps two attempts off the same one. A plan with an authorisation of its
-- own sender holds two; a dropped attempt holds none.
CREATE TABLE rialto.nonces (
  epoch integer NOT NULL,
  account rialto.address NOT NULL,
  nonce rialto.uint NOT NULL,
  attempt_id text NOT NULL,
  PRIMARY KEY (epoch, account, nonce),
  FOREIGN KEY (epoch, attempt_id) REFERENCES rialto.attempts (epoch, id)
);
--> statement-breakpoint
CREATE INDEX nonces_by_attempt ON rialto.nonces (epoch, attempt_id);
--> statement-breakpoint
-- What an attempt was expected to do (known when it is prepared) and what it did (known when it is mined).
CREATE TABLE rialto.outcomes (
  epoch integer NOT NULL,
  attempt_id text NOT NULL,
  phase text NOT NULL CHECK (phase IN ('expected', 'actual')),
  health_factor rialto.uint NOT NULL,
  total_collateral rialto.uint NOT NULL,
  total_debt rialto.uint NOT NULL,
  equity rialto.uint NOT NULL,
  gas_used rialto.uint NOT NULL,
  gas_cost rialto.uint NOT NULL,
  balance_changes jsonb NOT NULL,
  PRIMARY KEY (epoch, attempt_id, phase),
  FOREIGN KEY (epoch, attempt_id) REFERENCES rialto.attempts (epoch, id)
);
--> statement-breakpoint
CREATE TABLE rialto.leases (
  epoch integer NOT NULL REFERENCES rialto.epochs,
  account rialto.address NOT NULL,
  holder text NOT NULL,
  token bigint NOT NULL CHECK (token > 0),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (epoch, account)
);
--> statement-breakpoint
-- Every order to trade or not to, kept as it was given; the last of its scope holds. A person orders for all agents
-- (agent null) or one, in every epoch (epoch null); the runtime freezes one agent in one epoch.
CREATE TABLE rialto.trading_orders (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  epoch integer REFERENCES rialto.epochs,
  agent text,
  state text NOT NULL CHECK (state IN ('active', 'reducing', 'halted')),
  reason text NOT NULL,
  given_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT trading_orders_freeze CHECK (epoch IS NULL OR (agent IS NOT NULL AND state = 'reducing'))
);
--> statement-breakpoint
CREATE INDEX trading_orders_by_agent ON rialto.trading_orders (agent, seq DESC);
