//! An image's way through dev, tst and prd.

use crate::audit::{World, digest};

#[test]
fn an_image_is_followed_from_dev_to_prd_with_who_signed_it_on() {
    let mut w = World::new();
    w.at("2026-02-01T10:00:00Z");
    w.h.promote_to_tst();
    w.h.promote_to_prd();
    w.at("2026-03-01T10:00:00Z");
    w.release(2);
    let way = w.json(&["provenance", &digest(1)]);
    let told: Vec<String> = way["lines"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|line| line["stays"].as_array().unwrap())
        .map(|stay| {
            let (since, until) = (&stay["since"], &stay["until"]);
            format!(
                "{} {} by {} at {} until {}",
                stay["environment"].as_str().unwrap(),
                since["kind"].as_str().unwrap(),
                since["signed_by"]["person"].as_str().unwrap(),
                since["at"].as_str().unwrap(),
                until["kind"].as_str().unwrap_or("now"),
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    dev change by alice at 2026-01-01T00:06:00Z until change
    tst promote by bob at 2026-02-01T10:00:00Z until promote
    prd promote by carol at 2026-02-01T10:01:00Z until promote
    ");
    // Each promotion names the commit below that already wanted it.
    let lines = way["lines"].as_array().unwrap();
    for pair in lines.windows(2) {
        let source = &pair[1]["stays"][0]["since"]["source"];
        assert_eq!(source["environment"], pair[0]["history"]["environment"]);
    }
    assert_eq!(
        lines[2]["stays"][0]["since"]["source"]["commit"],
        lines[1]["stays"][0]["since"]["commit"]
    );
}

#[test]
fn an_image_that_came_back_has_two_stays() {
    let mut w = World::new();
    w.h.promote_to_tst();
    let first = w.h.promote_to_prd();
    w.release(2);
    w.h.rollback("bob", first);
    let way = w.json(&["provenance", &digest(1)[7..19]]);
    let stays = way["lines"][2]["stays"].as_array().unwrap().clone();
    assert_eq!(stays.len(), 2);
    assert_eq!(stays[1]["since"]["kind"], "rollback");
    assert!(stays[1]["until"].is_null());
}

#[test]
fn without_the_branches_below_what_was_promoted_is_still_there() {
    let mut w = World::new();
    w.h.promote_to_tst();
    w.h.promote_to_prd();
    w.branches();
    for environment in ["dev", "tst"] {
        w.h.git(&["update-ref", "-d", &format!("refs/heads/{environment}")]);
    }
    w.h.on("prd");
    let anchor = w.h.anchor.to_string();
    let place = ["--repository", ".", "--env", "prd", "--anchor", &anchor, "-o", "json"];
    let said = w.run(&[&["audit", "provenance", &digest(1)], &place[..]].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    let way: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(way["lines"][0]["is_last_source"], true);
    assert_eq!(way["lines"][0]["stays"].as_array().unwrap().len(), 1);
}

#[test]
fn an_image_that_nobody_ever_wanted_is_not_found() {
    let mut w = World::new();
    let said = w.audit(&["provenance", &digest(77)]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("no verified commit ever wanted"), "{}", said.err);
}
