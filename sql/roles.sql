-- db.roles
-- The three roles of the service. Runs as the administrator before every migration and changes
-- nothing when they are there already: roles belong to the cluster, not to the database.
--
--   tap_owner   owns the schema; nobody logs in as it
--   tap_app     does what a team asks: sees the rows of app.team_id, and none when it is not set
--   tap_system  does what spans teams: the key directory, the writer, seeding
--
-- Neither tap_app nor tap_system owns a table or may bypass row-level security.
do $$
declare
    wanted record;
begin
    for wanted in
        select * from (values ('tap_owner', 'nologin'), ('tap_app', 'login'), ('tap_system', 'login'))
            as roles (name, login)
    loop
        if not exists (select from pg_roles where rolname = wanted.name) then
            begin
                execute format('create role %I %s', wanted.name, wanted.login);
            exception when duplicate_object or unique_violation then
                null; -- made by another replica in this moment
            end;
        end if;
    end loop;

    -- Since PostgreSQL 16 whoever makes a role is a member of it, but may not become it.
    if not pg_has_role(
        current_user,
        'tap_owner',
        case when current_setting('server_version_num')::integer >= 160000 then 'SET' else 'MEMBER' end
    ) then
        execute format('grant tap_owner to %I', current_user);
    end if;
    -- Databases from before PostgreSQL 15 let everybody make tables.
    revoke create on schema public from public;
    grant usage, create on schema public to tap_owner;
    grant usage on schema public to tap_app, tap_system;
end
$$;
