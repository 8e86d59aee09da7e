CREATE TABLE sale (left_over bigint NOT NULL);
CREATE TABLE held (member text PRIMARY KEY, units bigint NOT NULL);
CREATE TABLE orders (number bigserial PRIMARY KEY, member text NOT NULL, tier text NOT NULL, units bigint NOT NULL);
CREATE FUNCTION buy(who text, what text, wanted bigint, most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  sold bigint;
BEGIN
  -- The member's own row first, so that the row of the sale is locked as shortly as can be.
  INSERT INTO held AS h VALUES (who, wanted)
    ON CONFLICT (member) DO UPDATE SET units = h.units + wanted WHERE h.units + wanted <= most;
  IF NOT FOUND THEN RETURN -2; END IF;
  UPDATE sale SET left_over = left_over - wanted WHERE left_over >= wanted;
  IF NOT FOUND THEN
    UPDATE held SET units = units - wanted WHERE member = who;
    RETURN -1;
  END IF;
  INSERT INTO orders (member, tier, units) VALUES (who, what, wanted) RETURNING number INTO sold;
  RETURN sold;
END $$;
CREATE FUNCTION buy_all(who text[], what text[], wanted bigint[], most bigint) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
  answers bigint[] := '{}';
BEGIN
  FOR i IN 1..array_length(who, 1) LOOP
    answers := answers || buy(who[i], what[i], wanted[i], most);
  END LOOP;
  RETURN answers;
END $$;
