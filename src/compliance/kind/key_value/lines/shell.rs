//! Lines as a shell reads them, as far as a file of assignments needs it.
//!
//! In: lines. Out: which of them are within something else, and words. Pure.

use std::collections::VecDeque;

/// What a shell has read so far.
#[derive(Debug, Default)]
pub(super) struct Shell {
    /// What ends the quotes and brackets that are open, the innermost last.
    open: Vec<char>,
    /// How many `if`, `for`, `case`, `{` and their like are.
    n_compound: usize,
    /// What ends the here-documents that follow, and whether tabs before it do not count.
    here: VecDeque<(String, bool)>,
    /// Whether the next line is joined by a `\`.
    escaped: bool,
    /// Whether an `exit` keeps it from reading on.
    ended: bool,
    /// Whether a word that comes next is a command's.
    command: bool,
}

/// The words of a line that stands alone, and each `;`, `&`, `|`, `<`, `>` or `)` between them;
/// none if it does not end with itself.
pub(super) fn words(line: &str) -> Option<Vec<&str>> {
    let mut shell = Shell::default();
    let words = shell.read(line);
    (!shell.is_within()).then_some(words)
}

/// The name that a word gives a value.
pub(super) fn assigned(word: &str) -> Option<&str> {
    let (name, _) = word.trim_start_matches(['"', '\'']).split_once('=')?;
    let name = name.strip_suffix('+').unwrap_or(name);
    is_name(name).then_some(name)
}

/// Whether a shell takes it for the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Shell {
    /// Whether what follows is part of something that is open.
    pub(super) fn is_within(&self) -> bool {
        self.escaped
            || self.ended
            || self.n_compound > 0
            || !(self.open.is_empty() && self.here.is_empty())
    }

    /// Reads a line, and gives its words that are not within brackets.
    pub(super) fn read<'l>(&mut self, line: &'l str) -> Vec<&'l str> {
        let mut words = Vec::new();
        if let Some((end, has_tabs)) = self.here.front().filter(|_| self.open.is_empty()) {
            if line == end || (*has_tabs && line.trim_start_matches('\t') == end) {
                self.here.pop_front();
            }
            return words;
        }
        let is_joined = std::mem::take(&mut self.escaped);
        self.command = !is_joined && self.open.is_empty();
        let (mut word, mut before) = (None, None);
        for (at, c) in line.char_indices() {
            let is_escaped = std::mem::take(&mut self.escaped);
            if is_escaped || self.is_quoted(c, before.replace(c)) {
                before = before.filter(|_| !is_escaped);
                word.get_or_insert(at);
            } else if c == '#' && word.is_none() {
                return words;
            } else if c.is_ascii_whitespace() || ";&|<>)".contains(c) {
                self.word(word.take().map(|from| &line[from..at]), &line[at..], &mut words);
                if !c.is_ascii_whitespace() {
                    words.push(&line[at..=at]);
                    self.command = !matches!(c, '<' | '>');
                    self.here_document(&line[..at], &line[at..]);
                }
            } else {
                word.get_or_insert(at);
            }
        }
        self.word(word.map(|from| &line[from..]), "", &mut words);
        words
    }

    /// Whether a character is part of quotes or brackets, which it may open or close.
    fn is_quoted(&mut self, c: char, before: Option<char>) -> bool {
        match (self.open.last().copied(), c) {
            (Some('\''), '\'') => drop(self.open.pop()),
            (Some('\''), _) => {}
            (_, '\\') => self.escaped = true,
            (Some(end), _) if c == end => drop(self.open.pop()),
            (Some('"'), '\'') => {}
            (_, '"' | '`' | '\'') => self.open.push(c),
            (last, '(') if last != Some('"') || before == Some('$') => self.open.push(')'),
            (_, '{') if before == Some('$') => self.open.push('}'),
            (None, _) => return false,
            _ => {}
        }
        true
    }

    fn word<'l>(&mut self, word: Option<&'l str>, rest: &str, words: &mut Vec<&'l str>) {
        let Some(word) = word else { return };
        words.push(word);
        // What other readers have as `if = 1` is no command.
        if !std::mem::take(&mut self.command) || rest.trim_start().starts_with('=') {
            return;
        }
        match word {
            "if" | "while" | "until" | "{" | "case" | "for" | "select" => self.n_compound += 1,
            "fi" | "done" | "esac" | "}" => self.n_compound = self.n_compound.saturating_sub(1),
            "exit" | "return" if words.len() == 1 && self.n_compound == 0 => self.ended = true,
            _ => {}
        }
        let goes_on = ["if", "while", "until", "{", "then", "else", "elif", "do", "!"];
        self.command = goes_on.contains(&word) || word.ends_with("()") || assigned(word).is_some();
    }

    /// Learns what ends the here-document that begins there, if one does.
    fn here_document(&mut self, before: &str, text: &str) {
        let Some(rest) = text.strip_prefix("<<").filter(|rest| !rest.starts_with('<')) else {
            return;
        };
        let (rest, tabs) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
        let rest = rest.trim_start();
        let end = rest.find(|c: char| c.is_ascii_whitespace() || ";&|<>()".contains(c));
        let end = rest[..end.unwrap_or(rest.len())].replace(['"', '\'', '\\'], "");
        if !before.ends_with('<') && !end.is_empty() {
            self.here.push_back((end, tabs));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::key_value::lines::shell::{Shell, assigned, words};

    #[test]
    fn what_is_open_at_the_end_of_a_line_is_known() {
        for (text, expected) in [
            ("a=1;b=2", "."),
            ("a='x\ny'\nb=2", "+.."),
            ("a=\"it's\"\nb='\"'\nc=\\'\n", "..."),
            ("a=\"$(echo \")\"\n)\"", "+."),
            ("a=`echo\nx`", "+."),
            ("a=(1\n2)\nb=$((1\n+2))", "+.+."),
            ("a=${x:-\n}", "+."),
            ("a=x\\\nb\\\\", "+."),
            ("a=1 # it's (\n# it's\na=x#'y'", "..."),
            ("if [ a = b ]; then\na=1\nelse a=2; fi\nb=1", "++.."),
            ("if [ a = b ]; then :; fi", "."),
            ("f() {\na=1\n}\n", "++."),
            ("f()\n{\na=1\n}\n", ".++."),
            ("case $x in\na) b=1;;\nesac", "++."),
            ("for a in b; do\nwhile c; do d\ndone; done", "++."),
            ("cat <<E <<-'F'\nit's\nE\n\tF\na=1", "+++.."),
            ("cat <<< x\na=1", ".."),
            ("a=1\nexit 0\nb=1", ".++"),
            ("[ a ] || exit\nb=1", ".."),
            ("if = 1\nfor=2\nexit_code=3\necho if", "...."),
        ] {
            let mut shell = Shell::default();
            let is_within = |line| {
                shell.read(line);
                if shell.is_within() { '+' } else { '.' }
            };
            assert_eq!(text.lines().map(is_within).collect::<String>(), expected, "{text}");
        }
    }

    #[test]
    fn words_end_as_a_shell_ends_them() {
        for (line, expected) in [
            ("a=\"b c\" d='e f'g # h", Some(&["a=\"b c\"", "d='e f'g"][..])),
            ("a=1;b=$(c; d)&&e", Some(&["a=1", ";", "b=$(c; d)", "&", "&", "e"])),
            ("a=\\ b", Some(&["a=\\ b"])),
            ("a='b", None),
            ("a=b\\", None),
        ] {
            assert_eq!(words(line).as_deref(), expected, "{line}");
        }
        let names = ["a=1", "a+=1", "\"a=1", "a-b=1", "=1", "1=1", "a"].map(assigned);
        assert_eq!(names, [Some("a"), Some("a"), Some("a"), None, None, None, None]);
    }
}
