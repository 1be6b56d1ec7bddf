-- Attempts that are replaced, cancelled, adopted and taken back; how each of them went; orders for one account.

ALTER TABLE rialto.attempts
  DROP CONSTRAINT attempts_status_check,
  DROP CONSTRAINT attempts_bytes,
  DROP CONSTRAINT attempts_mined,
  DROP CONSTRAINT attempts_spent,
  DROP CONSTRAINT attempts_failure,
  ALTER COLUMN intent_id DROP NOT NULL,
  ALTER COLUMN agent DROP NOT NULL,
  ADD COLUMN purpose text,
  ADD COLUMN replaces text,
  -- Whose money the plan moves; the account is whose nonces it uses.
  ADD COLUMN owner rialto.address;
--> statement-breakpoint
-- An attempt that was dropped after it had been signed was one whose nonce another transaction had used.
UPDATE rialto.attempts SET
  purpose = 'act',
  owner = lower(plan ->> 'account'),
  status = CASE
    WHEN status = 'reverted' THEN 'failed'
    WHEN status = 'dropped' AND raw IS NOT NULL THEN 'replaced'
    ELSE status
  END;
--> statement-breakpoint
INSERT INTO rialto.nonces (epoch, account, nonce, attempt_id)
  SELECT epoch, account, nonce, id FROM rialto.attempts WHERE status = 'replaced' ORDER BY seq
  ON CONFLICT DO NOTHING;
--> statement-breakpoint
ALTER TABLE rialto.attempts
  ALTER COLUMN purpose SET NOT NULL,
  ALTER COLUMN owner SET NOT NULL,
  ADD CONSTRAINT attempts_status CHECK (
    status IN (
      'prepared', 'signed', 'broadcast', 'unknown', 'pending', 'mined', 'confirmed', 'failed', 'replaced', 'dropped',
      'reorged'
    )
  ),
  ADD CONSTRAINT attempts_purpose CHECK (purpose IN ('act', 'cancel', 'fill', 'adopted')),
  ADD CONSTRAINT attempts_intent CHECK ((intent_id IS NULL) = (purpose IN ('fill', 'adopted'))),
  ADD CONSTRAINT attempts_agent CHECK ((agent IS NULL) = (intent_id IS NULL)),
  -- Bytes and hash come together, and whatever may be on the wire has them.
  ADD CONSTRAINT attempts_bytes CHECK (
    (raw IS NULL) = (hash IS NULL) AND (raw IS NULL) = (status IN ('prepared', 'dropped'))
  ),
  -- What was replaced has a block when something outside of Rialto used its nonce: the one that shows it.
  ADD CONSTRAINT attempts_mined CHECK (
    (block_number IS NULL) = (block_hash IS NULL)
      AND CASE
        WHEN status IN ('mined', 'confirmed', 'failed') THEN block_number IS NOT NULL
        ELSE block_number IS NULL OR status = 'replaced'
      END
  ),
  ADD CONSTRAINT attempts_spent CHECK (
    CASE
      WHEN status IN ('confirmed', 'failed') THEN spent IS NOT NULL
      WHEN status IN ('replaced', 'dropped') THEN spent IS NOT DISTINCT FROM 0
      ELSE spent IS NULL
    END
  ),
  ADD CONSTRAINT attempts_failure CHECK (
    (failure IS NOT NULL) = (status IN ('unknown', 'failed', 'replaced', 'dropped'))
  ),
  ADD CONSTRAINT attempts_on_nonce UNIQUE (epoch, account, nonce, id),
  -- An attempt takes the place of one on its own nonce, and of no other.
  ADD CONSTRAINT attempts_replaces FOREIGN KEY (epoch, account, nonce, replaces)
    REFERENCES rialto.attempts (epoch, account, nonce, id),
  ADD CONSTRAINT attempts_replaces_another CHECK (
    replaces IS NULL OR (replaces <> id AND purpose <> 'adopted')
  );
--> statement-breakpoint
-- Of all attempts on one nonce, one is mined for good.
CREATE UNIQUE INDEX attempts_final ON rialto.attempts (epoch, account, nonce)
  WHERE status IN ('confirmed', 'failed');
--> statement-breakpoint
DROP INDEX rialto.attempts_open;
--> statement-breakpoint
CREATE INDEX attempts_open ON rialto.attempts (epoch, account, nonce)
  WHERE status IN ('prepared', 'signed', 'broadcast', 'unknown', 'pending', 'mined', 'reorged');
--> statement-breakpoint
DROP INDEX rialto.attempts_by_time;
--> statement-breakpoint
CREATE INDEX attempts_by_time ON rialto.attempts (epoch, owner, signed_at);
--> statement-breakpoint
CREATE INDEX attempts_by_block ON rialto.attempts (epoch, block_number) WHERE block_number IS NOT NULL;
--> statement-breakpoint
-- How each attempt went, written by the database itself with every status that it gets. The arrows are those of
-- `attemptTransitions`; what an older version left begins with the status that it had then.
CREATE TABLE rialto.attempt_steps (
  epoch integer NOT NULL,
  attempt_id text NOT NULL,
  ordinal integer NOT NULL CHECK (ordinal >= 0),
  from_status text,
  to_status text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (epoch, attempt_id, ordinal),
  FOREIGN KEY (epoch, attempt_id) REFERENCES rialto.attempts (epoch, id),
  CONSTRAINT attempt_steps_first CHECK ((from_status IS NULL) = (ordinal = 0)),
  CONSTRAINT attempt_steps_arrow CHECK (
    from_status IS NULL OR (from_status, to_status) IN (
      ('prepared', 'signed'), ('prepared', 'dropped'), ('signed', 'broadcast'), ('unknown', 'broadcast'),
      ('reorged', 'broadcast'), ('pending', 'broadcast'), ('signed', 'unknown'), ('broadcast', 'unknown'),
      ('pending', 'unknown'), ('reorged', 'unknown'), ('mined', 'unknown'), ('signed', 'pending'),
      ('broadcast', 'pending'), ('unknown', 'pending'), ('reorged', 'pending'), ('signed', 'mined'),
      ('broadcast', 'mined'), ('unknown', 'mined'), ('pending', 'mined'), ('reorged', 'mined'),
      ('mined', 'confirmed'), ('mined', 'failed'), ('signed', 'replaced'), ('broadcast', 'replaced'),
      ('unknown', 'replaced'), ('pending', 'replaced'), ('reorged', 'replaced'), ('mined', 'replaced'),
      ('mined', 'reorged'), ('confirmed', 'reorged'), ('failed', 'reorged'), ('replaced', 'reorged')
    )
  )
);
--> statement-breakpoint
INSERT INTO rialto.attempt_steps (epoch, attempt_id, ordinal, to_status, at)
  SELECT epoch, id, 0, status, changed_at FROM rialto.attempts;
--> statement-breakpoint
CREATE FUNCTION rialto.record_attempt_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO rialto.attempt_steps (epoch, attempt_id, ordinal, from_status, to_status)
    SELECT NEW.epoch, NEW.id, coalesce(max(ordinal) + 1, 0), CASE TG_OP WHEN 'UPDATE' THEN OLD.status END, NEW.status
      FROM rialto.attempt_steps WHERE epoch = NEW.epoch AND attempt_id = NEW.id;
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER attempts_begin AFTER INSERT ON rialto.attempts
  FOR EACH ROW EXECUTE FUNCTION rialto.record_attempt_step();
--> statement-breakpoint
CREATE TRIGGER attempts_move AFTER UPDATE OF status ON rialto.attempts
  FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION rialto.record_attempt_step();
--> statement-breakpoint
CREATE FUNCTION rialto.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%.% is only ever added to', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
--> statement-breakpoint
CREATE TRIGGER attempt_steps_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON rialto.attempt_steps
  FOR EACH STATEMENT EXECUTE FUNCTION rialto.refuse_change();
--> statement-breakpoint
ALTER TABLE rialto.trading_orders
  ADD COLUMN account rialto.address,
  ADD CONSTRAINT trading_orders_scope CHECK (num_nonnulls(agent, account) <= 1);
--> statement-breakpoint
CREATE INDEX trading_orders_by_account ON rialto.trading_orders (account, seq DESC) WHERE account IS NOT NULL;
