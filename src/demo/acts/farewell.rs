//! After the story: what to look at, what to try, how to stop.

use crate::demo::acts::stage::SERVICE;
use crate::demo::story::Stage;
use crate::demo::tell::Told;

impl Stage<'_> {
    /// What to look at, what to try, how to stop.
    pub(crate) fn farewell(&mut self) {
        let own = std::env::current_exe().unwrap_or_else(|_| "tidegate".into());
        let own = own.display();
        let (mut look, mut try_it) = (Vec::new(), Vec::new());
        for line in &self.lines {
            look.push(format!("{own} status --config {}", line.config.display()));
        }
        if let Some(line) = self.lines.first() {
            let (address, name) = (line.engine.address(), line.name(SERVICE, "web"));
            look.push(format!("docker -H {address} ps"));
            look.push(format!("{own} history --config {}", line.config.display()));
            try_it.push(format!("docker -H {address} rm -f {name}"));
        }
        look.push(format!("git -C {} log --oneline --all", self.repository.root.display()));
        if let Ok(person) = self.repository.person("prd", "promote") {
            let clone = self.place.path(&format!("people/{person}"));
            look.push(format!("{own} line -C {}", clone.display()));
            try_it.push(format!("{own} promote --to tst --dry-run -C {}", clone.display()));
        }
        let person = self.repository.person("dev", "change").unwrap_or_default();
        let key = self.place.path(&format!("keys/{person}"));
        try_it.push(format!(
            "cd {} && git switch dev, change something, and\n    git -c gpg.format=ssh -c user.signingkey={} commit -S -a",
            self.repository.root.display(),
            key.display()
        ));
        self.audience.tell(Told::After("Look at".to_owned(), look));
        self.audience.tell(Told::After("Try".to_owned(), try_it));
        let stop = vec![format!("make demo-stop   (or {own} demo --stop)")];
        self.audience.tell(Told::After("Stop, leaving nothing behind".to_owned(), stop));
    }
}
