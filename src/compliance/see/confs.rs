//! Kernel parameters and modules: what the kernel has, and what files say of the next boot.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::clients::host::{HostError, HostRoot};
use crate::compliance::kind::{
    BootSettings, CONF_PLACES, Conf, Confs, ModuleSight, Parameter, SysctlSight, own_path,
    own_paths,
};
use crate::compliance::see::{Eyes, FILE_BYTES_MAX, once, said};
use crate::model::HostPath;
use crate::reconcile::desired::rule::RuleId;
use crate::reconcile::desired::rule::kind::{KernelModuleRule, SysctlRule};

/// What sets kernel parameters at boot where systemd does.
const SYSTEMDS: [&str; 2] = ["/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl"];
/// A folder with more files than this is no configuration.
const FILES_MAX: usize = 1_000;

/// What loads modules at boot, and what keeps them out.
#[derive(Debug)]
pub(super) struct ModuleConfs {
    load: Confs,
    probe: Confs,
}

impl Eyes<'_> {
    pub(super) fn sysctl<'b>(
        &'b self,
        rule: &SysctlRule,
        id: &'b RuleId,
    ) -> Result<SysctlSight<'b>, String> {
        let host = self.input.host;
        let boot = once(&self.sysctls, || {
            // The last by name wins. systemd reads /etc/sysctl.conf only where a link there leads to
            // it, at that name; `sysctl --system`, which boots a host without it, after all.
            let confs = read(host, "sysctl.d")?;
            let is_systemds = host.is_there(SYSTEMDS[0])? || host.is_there(SYSTEMDS[1])?;
            let last = (!is_systemds).then(|| conf(host, "/etc/sysctl.conf".to_owned(), false));
            let last = last.transpose()?;
            let all = confs.values().chain(&last);
            Ok(BootSettings::read(all.map(|conf| (conf.text.as_str(), conf.hidden))))
        })?;
        let own = own_path(rule).ok_or_else(|| format!("`{}` gives no file name", rule.key))?;
        let own = (own.clone(), self.sight(&own, id)?);
        let seen = host.kernel_owned(&rule.key).map_err(said)?;
        let live = seen.map(|(value, owned)| Parameter { value, hidden: owned.is_hidden() });
        Ok(SysctlSight { live, boot, own })
    }

    pub(super) fn module<'b>(
        &'b self,
        rule: &KernelModuleRule,
        id: &'b RuleId,
    ) -> Result<Option<ModuleSight<'b>>, String> {
        let host = self.input.host;
        let Some(modules) = once(&self.modules, || host.modules())? else { return Ok(None) };
        let ModuleConfs { load, probe } = once(&self.module_confs, || {
            Ok(ModuleConfs {
                load: read(host, "modules-load.d")?,
                probe: read(host, "modprobe.d")?,
            })
        })?;
        let [own_load, own_probe] = own_paths(&rule.module);
        let own = |path: String| {
            let path: HostPath = path.parse().map_err(said)?;
            self.sight_of_text(&path, id).map(|sight| (path, sight))
        };
        Ok(Some(ModuleSight {
            release: &modules.release,
            loaded: modules.loaded.contains(&rule.module),
            builtin: modules.builtin.contains(&rule.module),
            there: modules.there.contains(&rule.module),
            load,
            probe,
            own_load: own(own_load)?,
            own_probe: own(own_probe)?,
        }))
    }
}

/// A file; one that is not there, or leads to /dev/null, says nothing.
fn conf(host: &HostRoot, path: String, enclosed: bool) -> Result<Conf, HostError> {
    Ok(match host.text_owned(&path, FILE_BYTES_MAX)? {
        Some((text, owned)) => Conf { path, text, hidden: enclosed || owned.is_hidden() },
        None => Conf { path, text: String::new(), hidden: false },
    })
}

/// Every file of a folder of this name that counts.
fn read(host: &HostRoot, name: &str) -> Result<Confs, HostError> {
    let mut confs: Confs = BTreeMap::new();
    for place in CONF_PLACES {
        let folder = format!("{place}/{name}");
        let enclosed = folder.parse().map_or(Ok(false), |folder| host.is_enclosing(&folder))?;
        for name in host.names(&folder, FILES_MAX)? {
            let path = format!("{folder}/{name}");
            let is_conf = name.strip_suffix(".conf").is_some();
            if let (true, Entry::Vacant(place)) = (is_conf, confs.entry(name)) {
                place.insert(conf(host, path, enclosed)?);
            }
        }
    }
    Ok(confs)
}
