-- What a person is asked to approve, and what the owners said.

CREATE TABLE rialto.approvals (
  epoch integer NOT NULL,
  id rialto.hash NOT NULL,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  intent_id text NOT NULL,
  agent text NOT NULL,
  account rialto.address NOT NULL,
  plan jsonb NOT NULL,
  effects jsonb NOT NULL,
  policy_version text NOT NULL,
  reserved rialto.uint NOT NULL,
  owners jsonb NOT NULL CHECK (jsonb_typeof(owners) = 'array'),
  threshold integer NOT NULL CHECK (threshold >= 1),
  requested_at rialto.uint NOT NULL,
  expires_at rialto.uint NOT NULL,
  status text NOT NULL DEFAULT 'pending',
  reason text,
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (epoch, id),
  FOREIGN KEY (epoch, intent_id) REFERENCES rialto.intents (epoch, id),
  CONSTRAINT approvals_status CHECK (status IN ('pending', 'approved', 'rejected', 'expired', 'void')),
  -- What ended says why.
  CONSTRAINT approvals_reason CHECK ((reason IS NULL) = (status IN ('pending', 'approved'))),
  CONSTRAINT approvals_time CHECK (expires_at > requested_at)
);
--> statement-breakpoint
-- An intent has one request at a time that something may still come of.
CREATE UNIQUE INDEX approvals_waiting ON rialto.approvals (epoch, intent_id) WHERE status IN ('pending', 'approved');
--> statement-breakpoint
CREATE TABLE rialto.approval_signatures (
  epoch integer NOT NULL,
  approval_id rialto.hash NOT NULL,
  signer rialto.address NOT NULL,
  ordinal integer NOT NULL CHECK (ordinal >= 0),
  signature bytea NOT NULL CHECK (length(signature) = 65),
  signed_at rialto.uint NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (epoch, approval_id, signer),
  UNIQUE (epoch, approval_id, ordinal),
  FOREIGN KEY (epoch, approval_id) REFERENCES rialto.approvals (epoch, id)
);
--> statement-breakpoint
-- What was asked stays what it was, an end stays the end, and nothing is approved without enough of the owners.
CREATE FUNCTION rialto.check_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF to_jsonb(NEW) - ARRAY['status', 'reason', 'changed_at'] IS DISTINCT FROM
     to_jsonb(OLD) - ARRAY['status', 'reason', 'changed_at'] THEN
    RAISE EXCEPTION 'what was asked is never changed' USING ERRCODE = 'restrict_violation';
  END IF;
  IF OLD.status <> NEW.status AND (OLD.status, NEW.status) NOT IN (
    ('pending', 'approved'), ('pending', 'rejected'), ('pending', 'expired'), ('pending', 'void'),
    ('approved', 'rejected'), ('approved', 'expired'), ('approved', 'void')
  ) THEN
    RAISE EXCEPTION 'a request does not go from % to %', OLD.status, NEW.status USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.status = 'approved' AND (
    SELECT count(*) FROM rialto.approval_signatures s
      WHERE s.epoch = NEW.epoch AND s.approval_id = NEW.id AND NEW.owners ? s.signer::text
  ) < NEW.threshold THEN
    RAISE EXCEPTION 'not enough of the owners signed' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END
$$;
--> statement-breakpoint
CREATE TRIGGER approvals_change BEFORE UPDATE ON rialto.approvals
  FOR EACH ROW EXECUTE FUNCTION rialto.check_approval();
--> statement-breakpoint
CREATE FUNCTION rialto.check_new_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status <> 'pending' THEN
    RAISE EXCEPTION 'a request begins as pending' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END
$$;
--> statement-breakpoint
CREATE TRIGGER approvals_begin BEFORE INSERT ON rialto.approvals
  FOR EACH ROW EXECUTE FUNCTION rialto.check_new_approval();
--> statement-breakpoint
CREATE TRIGGER approval_signatures_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON rialto.approval_signatures
  FOR EACH STATEMENT EXECUTE FUNCTION rialto.refuse_change();
