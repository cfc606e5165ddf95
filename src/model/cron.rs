//! Schedules of cron, as crontab(5) has them.
//!
//! In: text. Out: whether cron would take it. Pure.

/// Shorthands.
const NAMED: [&str; 8] =
    ["@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
/// Least and greatest of each field: minute, hour, day of month, month, day of week.
const FIELDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Whether cron takes this for a schedule: `15 3 * * *`, `*/5 8-18 * * mon-fri`, `@daily`.
pub fn is_cron(text: &str) -> bool {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if let [name] = fields[..] {
        return NAMED.contains(&name);
    }
    let fits = |(at, field): (usize, &&str)| field.split(',').all(|part| is_part(part, at));
    fields.len() == FIELDS.len() && fields.iter().enumerate().all(fits)
}

/// `*`, `5`, `1-5`, `*/2`, `1-9/2`.
fn is_part(part: &str, at: usize) -> bool {
    let (range, step) = part.split_once('/').map_or((part, None), |(r, s)| (r, Some(s)));
    let stepped = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0));
    if range == "*" {
        return stepped;
    }
    match range.split_once('-') {
        Some((from, to)) => {
            let both = number(from, at).zip(number(to, at));
            stepped && both.is_some_and(|(from, to)| from <= to)
        }
        None => step.is_none() && number(range, at).is_some(),
    }
}

fn number(text: &str, at: usize) -> Option<u32> {
    let names: &[&str] = match at {
        3 => &MONTHS,
        4 => &DAYS,
        _ => &[],
    };
    let (least, greatest) = *FIELDS.get(at)?;
    let place = names.iter().position(|name| text.eq_ignore_ascii_case(name));
    let number = match place {
        Some(index) => u32::try_from(index).ok()? + least,
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
        None => return None,
    };
    (least..=greatest).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use crate::model::cron::is_cron;

    #[test]
    fn a_schedule_is_one_that_cron_takes() {
        for good in [
            "15 3 * * *",
            "*/5 8-18 * * mon-fri",
            "0 0 1,15 jan,JUL *",
            "0-59/2 * * * 7",
            "@daily",
            "  0   0 1 1 0 ",
        ] {
            assert!(is_cron(good), "{good}");
        }
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5/2 * * * *",
            "9-1 * * * *",
            "*/0 * * * *",
            "@never",
            "a * * * *",
            "* * mon * *",
            "-1 * * * *",
        ] {
            assert!(!is_cron(bad), "{bad}");
        }
    }
}
