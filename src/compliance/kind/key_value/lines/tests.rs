//! What files of one key a line say, and become.

use crate::compliance::kind::key_value::lines::{Wish, besides, edit};
use crate::reconcile::desired::rule::kind::KeyFormat;

#[test]
fn a_key_says_what_it_should_once_and_a_second_edit_changes_nothing() {
    use KeyFormat::{Equals, Ini, Spaces};
    for (format, section, value, before, after) in [
        (Equals, None, Some("1"), "", "k=1\n"),
        (Equals, None, Some("1"), "#k=2\na=b\nk=2\nk=3", "#k=2\na=b\nk=1\n"),
        (Equals, None, Some("1"), "k = 2\n", "k = 1\n"),
        (Equals, None, None, "k=1\na=b\n", "a=b\n"),
        // As a shell reads it.
        (Equals, None, Some("x y"), "k=\"a\"\n", "k=\"x y\"\n"),
        (Equals, None, Some("x y"), "k='x y'\n", "k='x y'\n"),
        (Equals, None, Some("1"), "k='2'\n", "k='1'\n"),
        (Equals, None, Some("$1"), "k='2'\n", "k='$1'\n"),
        (Equals, None, Some("say \"a\""), "k=\"b\"\n", "k='say \"a\"'\n"),
        (Equals, None, Some("\"x $y\""), "k=\"x\"\n", "k=\"x $y\"\n"),
        (Equals, None, Some("x y"), "a='b'\n", "a='b'\nk='x y'\n"),
        (Equals, None, Some("x y"), "a.b=c\n", "a.b=c\nk=x y\n"),
        (Equals, None, Some("x"), "a='b'\n", "a='b'\nk=x\n"),
        (Spaces, None, Some("no"), "k\tyes\n", "k no\n"),
        // The first one counts, however it is written.
        (Spaces, None, Some("no"), "K yes\nk no\n", "k no\n"),
        (Spaces, None, Some("no"), "K = yes\nkk no\n", "k no\nkk no\n"),
        (Spaces, None, Some("no"), "\"K\" yes\nk no\n", "k no\n"),
        (Spaces, None, Some("no"), "\"k\"=no\n", "\"k\"=no\n"),
        // What stands below counts for some only.
        (Spaces, None, Some("no"), "Host=x\n  k no\n", "k no\nHost=x\n  k no\n"),
        (Spaces, None, Some("no"), "\"match\" =x\n k yes\n", "k no\n\"match\" =x\n k yes\n"),
        (
            Spaces,
            None,
            Some("no"),
            "a b\nmatch user x\nk yes\n",
            "a b\nk no\nmatch user x\nk yes\n",
        ),
        (
            Spaces,
            None,
            Some("no"),
            "a b\nMatch User x\n  k yes\n",
            "a b\nk no\nMatch User x\n  k yes\n",
        ),
        (
            Ini,
            Some("s"),
            Some("1"),
            "k=0\n[s]\na=b\n\n[t]\nk=2\n",
            "k=0\n[s]\na=b\nk=1\n\n[t]\nk=2\n",
        ),
        (Ini, Some("s"), Some("1"), "[t]\nk=2\n", "[t]\nk=2\n[s]\nk=1\n"),
        (Ini, None, Some("1"), "[t]\nk=2\n", "k=1\n[t]\nk=2\n"),
        (Ini, Some("s"), None, "[s]\n;k=3\nk=2\n", "[s]\n;k=3\n"),
    ] {
        let wish = Wish { format, section, key: "k", value };
        let (_, edited) = edit(before, &wish).unwrap();
        assert_eq!(edited, after, "{before:?}");
        let again = edit(&edited, &wish).unwrap();
        assert_eq!(again, (value.map(str::to_owned), edited), "{before:?}");
    }
}

#[test]
fn what_readers_read_differently_is_refused_where_it_matters() {
    use KeyFormat::{Equals, Ini, Spaces};
    for (format, section, text) in [
        (Ini, Some("a"), "[a]\nx=1\n[b] ; comment\nk=2\n"),
        (Ini, Some("a"), "[a]\nk=1 \\\n  --b\n"),
        (Ini, Some("a"), "[a]\nk = 1\n  2\n  3\nz=3\n"),
        (Ini, Some("a"), "[a]\nx = 1\n  k = 2\n"),
        (Ini, Some("a"), "[a]\nx = 1 \\\n[b]\nk = 2\n"),
        (Ini, Some("a"), "[a]\nk = 0 ; c\n"),
        // my.cnf has keys without a value.
        (Ini, Some("a"), "[a]\nk\n"),
        (Ini, Some("a"), "[a]\n k \nk=1\n"),
        (Spaces, None, "\"k 0\n"),
        (Equals, None, "k=\"x \\\n y\"\n"),
        (Equals, None, "k=\"x\ny\"\n"),
        (Equals, None, "a=\"x\nk=2\"\n"),
        (Equals, None, "a=\"x\n"),
        (Equals, None, "a=x \\\nk=2\n"),
        (Equals, None, "export k=3\n"),
        (Equals, None, "k+=3\n"),
        (Equals, None, "k=0 # c\n"),
        (Equals, None, "k=\"1\" # c\n"),
        (Spaces, None, "k 0 # c\n"),
        (Spaces, None, "k \"0\" # c\n"),
    ] {
        for value in [Some("1"), None] {
            let wish = Wish { format, section, key: "k", value };
            let found = edit(text, &wish);
            // What goes as a whole may have a comment; nothing is added where nothing is.
            let is_sure = value.is_none() && (text.contains(" c\n") || text == "a=\"x\n");
            assert_eq!(found.is_ok(), is_sure, "{text:?} {value:?} {found:?}");
            let reason = found.err().unwrap_or_default();
            assert!(is_sure || reason.starts_with("line "), "{reason}");
        }
    }
}

#[test]
fn what_goes_on_elsewhere_does_not_matter() {
    use KeyFormat::{Equals, Ini, Spaces};
    for (format, section, before, after) in [
        (
            Ini,
            Some("Service"),
            "[Service]\nExecStart=/bin/a \\\n  --b\nk=0\n[Install]\n",
            "[Service]\nExecStart=/bin/a \\\n  --b\nk=1\n[Install]\n",
        ),
        (Equals, None, "a=\"x\n y\"\nk=0\n", "a=\"x\n y\"\nk=1\n"),
        (Equals, None, "a=1 # c\n", "a=1 # c\nk=1\n"),
        (Spaces, None, "k \"1\"\n", "k \"1\"\n"),
        (Spaces, None, "k \"0\"\n", "k 1\n"),
    ] {
        let wish = Wish { format, section, key: "k", value: Some("1") };
        assert_eq!(edit(before, &wish).unwrap().1, after, "{before:?}");
    }
}

#[test]
fn a_value_that_a_shell_would_read_otherwise_is_refused() {
    for (value, before) in [
        ("$HOME x", "k=\"b\"\n"),
        ("it's `a`", "k='b'\n"),
        ("it's \"a\"", "k=\"b\"\n"),
        ("a $b", "a=\"b\"\n"),
    ] {
        let wish = Wish { format: KeyFormat::Equals, section: None, key: "k", value: Some(value) };
        assert!(edit(before, &wish).unwrap_err().contains("its own quotes"), "{value}");
    }
}

#[test]
fn blanks_are_those_around_the_keys_own_sign() {
    use KeyFormat::{Equals, Ini};
    for (format, before, after) in [
        (Equals, "k=\"a = b\"\n", "k=\"1\"\n"),
        (Equals, "a=\"b = c\"\n", "a=\"b = c\"\nk=1\n"),
        (Equals, "if [ \"$a\" = b ]; then :; fi\n", "if [ \"$a\" = b ]; then :; fi\nk=1\n"),
        (Equals, "  # a = b\na=1\n", "  # a = b\na=1\nk=1\n"),
        (Equals, "  k = 2\n", "  k = 1\n"),
        (Ini, "[s]\n\ta = b\n\n[t]\n", "[s]\n\ta = b\n\tk = 1\n\n[t]\n"),
        (Ini, "[s]\n  k = 2\n  a = b\n", "[s]\n  k = 1\n  a = b\n"),
        (Ini, "[s]\na=b = c\n; d = e\n", "[s]\na=b = c\n; d = e\nk=1\n"),
        (Ini, "[t]\n  a = b\n", "[t]\n  a = b\n[s]\nk = 1\n"),
    ] {
        let section = (format == Ini).then_some("s");
        let wish = Wish { format, section, key: "k", value: Some("1") };
        assert_eq!(edit(before, &wish).unwrap().1, after, "{before:?}");
        assert_eq!(besides(before, &wish), besides(after, &wish), "{before:?}");
    }
}

#[test]
fn a_key_that_only_some_programs_see_is_refused() {
    use KeyFormat::{Equals, Ini, Spaces};
    for (format, text) in [
        (Ini, "[s]\nk: 2\n"),
        (Ini, "[s]\nk:a=2\n"),
        (Ini, "[s]\nK=2\n"),
        (Ini, "[s]\nk=1\nK = 2\n"),
        (Ini, "[s]\nK\n"),
        (Ini, "[s]\nk ; c\n"),
        (Ini, "[S]\nk=2\n"),
        (Ini, "[ s ]\nk=2\n"),
        (Ini, "[s]\nk=2\u{a0}\n"),
        (Ini, "[s]\nk\u{c}=2\n"),
        (Spaces, "k\u{a0}2\n"),
        (Equals, "a=1; k=3\n"),
        (Equals, "a=1 k=3\n"),
        (Equals, "k=1; k=3\n"),
        (Equals, "[ a ] && k=3\n"),
        (Equals, "k=1\nunset k\n"),
        (Equals, "if a; then\nk=2\nfi\n"),
        (Equals, "f() {\n  k=2\n}\n"),
        (Equals, "cat <<E\nk=2\nE\n"),
        (Equals, "a=$(b\nk=2)\n"),
        (Equals, "a=`b\nk=2`\n"),
        (Equals, "exit 0\nk=2\n"),
        (Equals, "k=\"a b\" c=\"d\"\n"),
        (Equals, "k=2; c=d\n"),
        (Equals, "k='2' c\n"),
    ] {
        for value in [Some("1"), None] {
            let section = (format == Ini).then_some("s");
            let wish = Wish { format, section, key: "k", value };
            let reason = edit(text, &wish).unwrap_err();
            assert!(reason.starts_with("line "), "{text:?} {reason}");
        }
    }
    // What a section has of another is missed only by one that should be without it.
    let wish = Wish { format: Ini, section: Some("s"), key: "k", value: None };
    assert!(edit("[DEFAULT]\nk=2\n[s]\n", &wish).is_err());
    assert!(edit("[DEFAULT]\nk=2\n[s]\n", &Wish { value: Some("1"), ..wish }).is_ok());
}

#[test]
fn a_value_that_would_not_be_read_as_it_is_wanted_is_refused() {
    use KeyFormat::{Equals, Ini, Spaces};
    for (format, value, before, is_ok) in [
        (Equals, "x y", "a=b\n", false),
        (Equals, "a;b", "", false),
        (Equals, "x y", "k=a b\n", true),
        (Equals, "x y", "a = b\n", true),
        (Equals, "\"x y\"", "a=b\n", true),
        (Equals, "\"x\" y", "a=b\n", false),
        (Equals, "'x", "a=b\n", false),
        (Ini, "a ; b", "a=b\n", false),
        (Ini, "a # b", "a=b\n", false),
        (Ini, "\"a # b\"", "a=b\n", true),
        (Ini, "a;b", "a=b\n", true),
        (Ini, "#fff", "a=b\n", true),
        (Spaces, "#a", "a b\n", false),
        (Spaces, "a #b", "a b\n", false),
    ] {
        let wish = Wish { format, section: None, key: "k", value: Some(value) };
        assert_eq!(edit(before, &wish).is_ok(), is_ok, "{value} in {before:?}");
    }
}

#[test]
fn what_another_line_says_may_hang_on_the_key() {
    use KeyFormat::{Equals, Ini};
    for (format, before, after) in [
        (Ini, "[s]\n  k=1\n  a=2\n", "[s]\nk=1\n  a=2\n"),
        (Ini, "[s]\n  [t]\n", "[s]\nk=1\n  [t]\n"),
        (Equals, "a=x\\", "a=x\\\n"),
        (Equals, "if a\nthen\nb=1\nfi\n", "if a\nb=1\nfi\nthen\n"),
    ] {
        let section = (format == Ini).then_some("s");
        let wish = Wish { format, section, key: "k", value: Some("1") };
        assert_ne!(besides(before, &wish).ok(), besides(after, &wish).ok(), "{before:?}");
    }
}
