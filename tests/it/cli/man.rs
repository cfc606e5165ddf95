//! Manual pages.

use std::fs;

use tidegate::reconcile::desired::rule::kind::KINDS;

use crate::cli::support::run;

#[test]
fn every_kind_of_rule_is_in_a_manual_page_with_its_example() {
    let dir = tempfile::tempdir().unwrap();
    for (to, page) in
        [("share/man1", "share/man7/tidegate-rules.7"), ("pages", "pages/tidegate-rules.7")]
    {
        let said = run(dir.path(), ["man", "--dir", to]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(dir.path().join(to).join("tidegate-check.1").exists());
        let page = fs::read_to_string(dir.path().join(page)).unwrap();
        for kind in KINDS {
            let (title, example) =
                (format!("\n.SS {}\n", kind.name), format!("\"{}\"\n", kind.name));
            let (_, section) = page.split_once(&title).unwrap_or_default();
            let section = section.split("\n.SS ").next().unwrap_or_default();
            assert!(section.contains(&format!("kind = {example}")), "{}", kind.name);
        }
        assert_eq!(run(dir.path(), ["man", "--rules"]).out, page);
    }
    assert_eq!(run(dir.path(), ["man", "--rules", "--dir", "x"]).code, 64);
}
