//! A chapter of the manual as a manual page.
//!
//! In: Markdown as this manual writes it: titles, paragraphs, lists with `*`, tables, blocks of code.
//! Out: roff. Pure.

/// Name, section, what it is, and the chapter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// As `man` is asked for it.
    pub(crate) name: &'static str,
    /// Its section.
    pub(crate) section: u8,
    title: &'static str,
    chapter: &'static str,
}

/// What rules are, and every kind of them.
pub(crate) const RULES: Page = Page {
    name: "tidegate-rules",
    section: 7,
    title: "what must be so on a node, and every kind of rule",
    chapter: include_str!("../../docs/compliance.md"),
};

impl Page {
    /// The page.
    pub(crate) fn roff(&self) -> String {
        let Self { name, section, title, chapter } = self;
        let version = env!("CARGO_PKG_VERSION");
        let mut roff = format!(
            ".TH {name} {section} \"\" \"tidegate {version}\"\n.SH NAME\n{} \\- {title}\n\
             .SH DESCRIPTION\n",
            name.replace('-', "\\-")
        );
        let mut is_code = false;
        // The chapter's own title is the page's name.
        for line in chapter.lines().skip(1) {
            if line.starts_with("```") {
                is_code = !is_code;
                roff += if is_code { ".PP\n.RS 4\n.nf\n" } else { ".fi\n.RE\n" };
            } else if is_code {
                roff += &plain(line);
                roff.push('\n');
            } else {
                roff += &block(line);
            }
        }
        roff
    }
}

/// A line outside of code, which is a whole paragraph.
fn block(line: &str) -> String {
    if let Some(title) = line.strip_prefix("### ") {
        return format!(".SS {}\n", inline(title));
    }
    if let Some(title) = line.strip_prefix("## ") {
        return format!(".SH {}\n", inline(&title.to_uppercase()));
    }
    if let Some(item) = line.strip_prefix("* ") {
        return format!(".IP \\(bu 2\n{}\n", inline(item));
    }
    match line.strip_prefix('|').and_then(|row| row.trim_end().strip_suffix('|')) {
        Some(row) if row.chars().all(|c| "-|".contains(c)) => String::new(),
        Some(row) => {
            let (first, rest) = row.split_once('|').unwrap_or((row, ""));
            format!(".TP\n{}\n{}\n", inline(first.trim()), inline(rest.trim()))
        }
        None if line.is_empty() => String::new(),
        None => format!(".PP\n{}\n", inline(line)),
    }
}

/// Bold for what is code, and of links their text.
fn inline(text: &str) -> String {
    let mut roff = String::new();
    for (n, part) in text.split('`').enumerate() {
        let part = if n % 2 == 1 { part.to_owned() } else { without_links(part) };
        let part = escaped(&part);
        let [bold, normal] = if n % 2 == 1 { ["\\fB", "\\fR"] } else { ["", ""] };
        roff.extend([bold, &part, normal]);
    }
    guarded(roff)
}

fn without_links(text: &str) -> String {
    let mut left = text;
    let mut told = String::new();
    while let Some((before, link)) = left.split_once('[') {
        let Some((name, (_, after))) =
            link.split_once("](").and_then(|(name, rest)| Some((name, rest.split_once(')')?)))
        else {
            break;
        };
        told += before;
        told += name;
        left = after;
    }
    told + left
}

fn plain(line: &str) -> String {
    guarded(escaped(line))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// A line that begins like a request is text all the same.
fn guarded(line: String) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use crate::cli::page::Page;

    #[test]
    fn titles_lists_tables_links_and_code_become_roff() {
        let chapter = "# X\n\nSee `a-b` ([there](#there)).\n\n## Kinds\n\n### file\n\n* one\n\n\
                       | what | means |\n|---|---|\n| `x` | 1 |\n\n```toml\n.y = \"\\n\"\n```\n";
        let page = Page { name: "x-y", section: 7, title: "of x", chapter };
        let roff = page.roff();
        let (_, body) = roff.split_once(".SH DESCRIPTION\n").unwrap();
        let wanted = ".PP\nSee \\fBa\\-b\\fR (there).\n.SH KINDS\n.SS file\n.IP \\(bu 2\none\n\
                      .TP\nwhat\nmeans\n.TP\n\\fBx\\fR\n1\n\
                      .PP\n.RS 4\n.nf\n\\&.y = \"\\en\"\n.fi\n.RE\n";
        assert_eq!(body, wanted);
        assert!(roff.contains("\nx\\-y \\- of x\n"), "{roff}");
    }
}
