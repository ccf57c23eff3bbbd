//! `seed --coupons`, as an operator runs it on a file that somebody else made.

use std::{io::Write as _, process::Output};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::app::{App, run, stderr, stdout};

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Loads coupons for a team.
fn load(app: &App, text: &str, team: i32) -> Output {
    let file = file(text);
    let (path, team) = (file.path().to_str().unwrap(), team.to_string());
    run(&app.store.database_url, &["seed", "--coupons", path, "--team", &team])
}

async fn stored(app: &App) -> i64 {
    app.scalar("select count(*) from coupons").await
}

#[tokio::test]
async fn the_sample_is_loaded_once() {
    let app = App::start().await;
    let url = &app.store.database_url;
    let first = run(url, &["seed"]);
    assert!(first.status.success(), "{}", stderr(&first));
    let told = stderr(&first);
    assert!(told.contains("20 coupons read, 20 new, 0 coupons left out"), "{told}");
    assert_eq!(stored(&app).await, 20);
    assert_eq!(app.scalar::<i64>("select count(distinct team_id) from coupons").await, 1);
    assert_eq!(app.scalar::<i32>("select min(team_id) from coupons").await, 1);
    let states = "select array_agg(distinct coupon_state(
            disabled, archived_at, published_at, expire_at, max_redemptions, redeemed, now())) from coupons";
    let states: Vec<String> = app.scalar(states).await;
    for state in ["ACTIVE", "EXPIRED"] {
        assert!(states.iter().any(|found| found == state), "{state} is not in {states:?}");
    }
    let of_tags = "select count(*) from coupons where tag_ids <> '{}'";
    assert!(app.scalar::<i64>(of_tags).await > 0);

    let second = run(url, &["seed"]);
    assert!(second.status.success(), "{}", stderr(&second));
    assert!(stderr(&second).contains("20 coupons read, 0 new"), "{}", stderr(&second));
    assert_eq!(stored(&app).await, 20);
}

/// A file of unknown origin, with what each coupon is wrong in; nothing: it is good.
fn unknown_origin() -> Vec<(Value, &'static [&'static str])> {
    vec![
        (
            json!({
                "_id": "56da9b0f9c1e4b1100a7b3c1", "couponcode": "SPRING-1", "title": "Ten percent off",
                "category": "food", "merchant": "Harbour", "description": "One\nor two",
                "store": {
                    "lat": 59.3251, "long": 18.0711, "city": "Stockholm", "phone": "+46 8 555 0101",
                    "state": null, "street": "Skeppsbron 12", "zip": 11130,
                },
                "publishedAt": "2016-03-05T08:40:51.620Z", "expireAt": "2036-03-05T08:40:51.62Z",
                "__v": 0, "views": [1, 2, 3],
            }),
            &[],
        ),
        (
            json!({"couponcode": "spring-1", "title": "x"}),
            &["couponcode is that of coupon 1 too", "DUPLICATE_COUPONCODE"],
        ),
        (
            json!({
                "couponcode": 2016, "title": 10, "store": {"lat": "52.5", "long": " 13.4 "},
                "maxRedemptions": "10", "maxPerSubject": "", "disabled": null, "expireAt": null,
            }),
            &["maxPerSubject must be a whole number"],
        ),
        (
            json!({"couponcode": 2017, "title": 10, "store": {"lat": "52.5", "long": " 13.4 "}, "maxRedemptions": "10"}),
            &[],
        ),
        (
            json!({
                "couponcode": "early", "title": "x", "publishedAt": "2016-03-05T08:40:51.620Z",
                "expireAt": "2016-03-05T08:40:51.619Z",
            }),
            &["expireAt must not be before", "EXPIRES_BEFORE_PUBLISHED"],
        ),
        (json!("SPRING-2"), &["coupon is not an object", "WRONG_TYPE"]),
        (json!(null), &["coupon is not an object"]),
        (json!([]), &["coupon is not an object"]),
        (json!({}), &["couponcode is missing", "title is missing", "REQUIRED"]),
        (
            json!({"couponcode": ["a"], "title": {}, "store": "Berlin", "disabled": "yes", "tagUids": "a", "metadata": 7}),
            &[
                "couponcode must be a text",
                "title must be a text",
                "store must be an object",
                "disabled must be true or false",
                "tagUids must be an array",
                "metadata must be an object",
            ],
        ),
        (
            json!({"couponcode": "dated", "title": "x", "expireAt": "05.03.2016"}),
            &["expireAt", "MALFORMED_DATE"],
        ),
        (
            json!({"couponcode": "dated", "title": "x", "expireAt": 1_457_167_251}),
            &["expireAt", "MALFORMED_DATE"],
        ),
        (
            json!({"couponcode": "dated", "title": "x", "publishedAt": "0000-01-01T00:00:00Z"}),
            &["publishedAt", "DATE_OUT_OF_RANGE"],
        ),
        (
            json!({"couponcode": "far", "title": "x", "store": {"lat": 91, "long": "east"}}),
            &["store.long must be a number", "store.lat must be from -90 to 90", "OUT_OF_RANGE"],
        ),
        (
            json!({"couponcode": "half", "title": "x", "store": {"lat": 9}}),
            &["store.long is missing"],
        ),
        (
            json!({"couponcode": "spaced out", "title": "x"}),
            &["couponcode", "has spaces", "MALFORMED_TEXT"],
        ),
        (json!({"couponcode": "tagged", "title": "x", "tagUids": ["a", "b"]}), &[]),
        (
            json!({"couponcode": "strange", "title": "x", "tagUids": ["a", "nobodys"]}),
            &["tagUids names \"nobodys\"", "UNKNOWN_TAG"],
        ),
        (
            json!({"couponcode": "zero", "title": "x", "maxRedemptions": 0}),
            &["maxRedemptions must be 1 or more"],
        ),
        (
            json!({"couponcode": "half", "title": "x", "maxRedemptions": 1.5}),
            &["maxRedemptions must be a whole number"],
        ),
        (
            json!({"couponcode": "many", "title": "x", "maxRedemptions": 2_147_483_648_i64}),
            &["maxRedemptions must be a whole number"],
        ),
        (
            json!({"_id": "56da9b0f9c1e4b1100a7b3c1", "couponcode": "other", "title": "x"}),
            &["id is that of coupon 1 too"],
        ),
        (
            json!({"id": "0190c0de-0000-7000-8000-00000000abcd", "couponcode": "last", "title": "x", "metadata": {"n": 1, "b": true}}),
            &[],
        ),
    ]
}

#[tokio::test]
async fn of_a_file_of_unknown_origin_what_is_good_is_kept_and_the_rest_is_reported() {
    let app = App::start().await;
    let team = app.team("acme").await;
    app.tags(team.id, &["a", "b"]).await;
    let rows = unknown_origin();
    let text = Value::Array(rows.iter().map(|(row, _)| row.clone()).collect()).to_string();
    let good = rows.iter().filter(|(_, wrong)| wrong.is_empty()).count();
    let bad = rows.len() - good;
    for new in [good, 0] {
        let output = load(&app, &text, team.id.0);
        let told = stderr(&output);
        assert!(!output.status.success(), "{told}");
        assert_eq!(stdout(&output), "");
        for (nth, (row, wrong)) in (1..).zip(&rows) {
            let line = told.lines().find(|line| line.contains(&format!(" coupon {nth}: ")));
            assert_eq!(line.is_none(), wrong.is_empty(), "{row}\n{told}");
            for expected in *wrong {
                assert!(line.unwrap().contains(expected), "{expected:?} is not in {line:?}");
            }
        }
        let summary = format!("{good} coupons read, {new} new, {bad} coupons left out");
        assert!(told.contains(&summary), "{summary:?} is not in:\n{told}");
        assert!(told.contains(&format!("{bad} coupons were left out")), "{told}");
        assert_eq!(stored(&app).await, i64::try_from(good).unwrap());
    }
    let one = "select title || '|' || store_zip || '|' || store_state || '|' || description || '|' || published_at::text
        from coupons where couponcode = 'SPRING-1'";
    assert!(
        app.scalar::<String>(one)
            .await
            .starts_with("Ten percent off|11130||One\nor two|2016-03-05")
    );
    let row = "select couponcode || ' ' || title || ' ' || store_lat || ' ' || store_long || ' ' || max_redemptions
        from coupons where couponcode = '2017'";
    assert_eq!(app.scalar::<String>(row).await, "2017 10 52.5 13.4 10");
    let tags: Vec<i32> =
        app.scalar("select tag_ids from coupons where couponcode = 'tagged'").await;
    assert_eq!(tags.len(), 2);
    let last = "select metadata::text from coupons where coupon_id = '0190c0de-0000-7000-8000-00000000abcd'";
    assert_eq!(app.scalar::<String>(last).await, r#"{"b":"true","n":"1"}"#);
    let millis = "select count(*) from coupons where published_at = '2016-03-05T08:40:51.620Z' and expire_at = '2036-03-05T08:40:51.620Z'";
    assert_eq!(app.scalar::<i64>(millis).await, 1);
}

#[tokio::test]
async fn what_is_there_already_is_passed_over_and_what_is_taken_is_reported() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let id = "0190c0de-0000-7000-8000-00000000abcd";
    let first = json!({"coupons": [{"id": id, "couponcode": "One", "title": "x"}], "total": 1});
    let output = load(&app, &first.to_string(), team.id.0);
    assert!(output.status.success(), "an object with coupons: {}", stderr(&output));
    let second = json!([
        {"id": id, "couponcode": "changed", "title": "changed"},
        {"couponcode": "ONE", "title": "y"},
        {"couponcode": "two", "title": "y"},
    ]);
    let output = load(&app, &second.to_string(), team.id.0);
    let told = stderr(&output);
    assert!(!output.status.success());
    assert!(told.contains(" coupon 2: couponcode is that of another coupon of the team"), "{told}");
    assert!(told.contains("2 coupons read, 1 new, 1 coupon left out"), "{told}");
    assert!(told.contains("1 coupon was left out"), "{told}");
    let codes =
        "select string_agg(couponcode || ' ' || title, ', ' order by couponcode) from coupons";
    assert_eq!(app.scalar::<String>(codes).await, "One x, two y");
    // More than are written at a time.
    let many: Vec<Value> =
        (0..2_500).map(|nth| json!({"couponcode": format!("c{nth}"), "title": "x"})).collect();
    let output = load(&app, &json!(many).to_string(), team.id.0);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("2500 coupons read, 2500 new"), "{}", stderr(&output));
    assert_eq!(stored(&app).await, 2_502);
}

#[tokio::test]
async fn what_is_no_file_of_coupons_says_so() {
    let app = App::start().await;
    let team = app.team("acme").await;
    for (text, expected) in [
        ("couponcode,title\na,b\n", "is not JSON"),
        ("[{]", "is not JSON"),
        ("", "is not JSON"),
        ("\u{feff}[]", "is not JSON"),
        ("7", "is neither an array of coupons nor an object with one as `coupons`"),
        ("{}", "is neither an array of coupons"),
        (r#"{"coupons": {}}"#, "is neither an array of coupons"),
    ] {
        let output = load(&app, text, team.id.0);
        assert!(!output.status.success(), "{text}");
        assert!(stderr(&output).contains(expected), "{text:?}: {}", stderr(&output));
    }
    let output = load(&app, "[]", team.id.0);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("0 coupons read, 0 new"), "{}", stderr(&output));

    let output = load(&app, "[]", 4711);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("there is no team 4711"), "{}", stderr(&output));
    let missing = ["seed", "--coupons", "no-such-file.json", "--team", "1"];
    let output = run(&app.store.database_url, &missing);
    assert!(stderr(&output).contains("cannot read no-such-file.json"), "{}", stderr(&output));
    for alone in [["seed", "--coupons", "x.json"], ["seed", "--team", "1"]] {
        let output = run(&app.store.database_url, &alone);
        assert!(!output.status.success());
        assert!(stderr(&output).contains("required"), "{}", stderr(&output));
    }
    assert_eq!(stored(&app).await, 0);
}
