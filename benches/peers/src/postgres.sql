CREATE TABLE sale (left_over bigint NOT NULL);
CREATE TABLE held (member text PRIMARY KEY, units bigint NOT NULL);
CREATE TABLE orders (number bigserial PRIMARY KEY, member text NOT NULL, tier text NOT NULL, units bigint NOT NULL);
CREATE FUNCTION buy(who text, what text, wanted bigint, most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  sold bigint;
BEGIN
  -- The member's own row first: the row of the sale is locked from its change until the commit.
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
-- The row of the sale is changed once for all clicks, and the orders are inserted at once.
CREATE FUNCTION buy_all(who text[], what text[], wanted bigint[], most bigint) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
  answers bigint[] := array_fill(-1::bigint, ARRAY[array_length(who, 1)]);
  unsold bigint;
BEGIN
  SELECT left_over INTO unsold FROM sale FOR UPDATE;
  FOR i IN 1..array_length(who, 1) LOOP
    CONTINUE WHEN unsold < wanted[i];
    INSERT INTO held AS h VALUES (who[i], wanted[i])
      ON CONFLICT (member) DO UPDATE SET units = h.units + wanted[i] WHERE h.units + wanted[i] <= most;
    IF NOT FOUND THEN
      answers[i] := -2;
    ELSE
      unsold := unsold - wanted[i];
      answers[i] := nextval('orders_number_seq');
    END IF;
  END LOOP;
  INSERT INTO orders
    SELECT number, member, tier, units FROM unnest(answers, who, what, wanted) AS n (number, member, tier, units)
    WHERE number > 0;
  UPDATE sale SET left_over = unsold;
  RETURN answers;
END $$;
