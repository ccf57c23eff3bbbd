-- The same taps, counted in three ways: they must agree.
select
    (select coalesce(sum(count), 0)::bigint from taps) as raw,
    (select coalesce(sum(total), 0)::bigint from tap_days where tag_id = 0) as teams,
    (select coalesce(sum(total), 0)::bigint from tap_days where tag_id > 0) as tags
