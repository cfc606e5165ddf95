//! One row per field that inspect shows.

use serde_json::Value;

use crate::reconcile::plan::fields::Facts;
use crate::reconcile::plan::fields::expect;
use crate::reconcile::plan::fields::mounts;
use crate::reconcile::plan::fields::normal;

/// Where the expected value comes from.
pub(crate) enum Expect {
    /// What the engine is told; nothing otherwise.
    Told,
    /// What the engine is told; the image's otherwise.
    Image,
    /// Computed.
    By(fn(&Facts<'_>) -> Value),
    /// Not compared, and why.
    State(&'static str),
}

/// What repairs a difference.
#[derive(Clone, Copy)]
pub(crate) enum Fix {
    /// A new container.
    Recreate,
    /// `docker update`, whatever the value.
    Update,
    /// `docker update`, unless nothing is wanted: it cannot take a limit away.
    UpdateUnlessUnset,
}

/// A field.
pub(crate) struct Row {
    pub(crate) path: &'static str,
    pub(crate) expect: Expect,
    pub(crate) normal: fn(&Value) -> Value,
    pub(crate) fix: Fix,
}

const fn row(path: &'static str, expect: Expect, normal: fn(&Value) -> Value) -> Row {
    Row { path, expect, normal, fix: Fix::Recreate }
}

const fn told(path: &'static str) -> Row {
    row(path, Expect::Told, normal::plain)
}

const fn image(path: &'static str) -> Row {
    row(path, Expect::Image, normal::plain)
}

const fn by(path: &'static str, compute: fn(&Facts<'_>) -> Value) -> Row {
    row(path, Expect::By(compute), normal::plain)
}

const fn state(path: &'static str, reason: &'static str) -> Row {
    row(path, Expect::State(reason), normal::plain)
}

const fn update(row: Row) -> Row {
    Row { path: row.path, expect: row.expect, normal: row.normal, fix: Fix::UpdateUnlessUnset }
}

const fn update_always(row: Row) -> Row {
    Row { path: row.path, expect: row.expect, normal: row.normal, fix: Fix::Update }
}

/// Every field, except for the name, mounts and networks, which have code of their own.
pub(crate) const TABLE: &[Row] = &[
    state("Id", "what everything else is asked by"),
    state("Created", "when it was made"),
    state("Path", "the entrypoint's or command's first word"),
    state("Args", "the other words"),
    state("State", "what it does now: the health gate's business"),
    state("Image", "compared as an image, see image_matches"),
    state("ImageManifestDescriptor", "compared as an image, see image_matches"),
    state("ResolvConfPath", "a file of the engine"),
    state("HostnamePath", "a file of the engine"),
    state("HostsPath", "a file of the engine"),
    state("LogPath", "a file of the engine"),
    state("Node", "where a classic swarm put it"),
    state("RestartCount", "what happened to it"),
    state("Driver", "how the engine stores layers"),
    state("Platform", "the image's"),
    state("Os", "the image's"),
    state("MountLabel", "follows from SecurityOpt"),
    state("ProcessLabel", "follows from SecurityOpt"),
    state("AppArmorProfile", "follows from SecurityOpt"),
    state("ExecIDs", "what runs in it besides"),
    state("GraphDriver", "where the engine stores layers"),
    state("Storage", "where the engine stores layers"),
    state("SizeRw", "how much it wrote"),
    state("SizeRootFs", "how large it is"),
    by("Config.Hostname", expect::host_name),
    told("Config.Domainname"),
    image("Config.User"),
    told("Config.AttachStdin"),
    told("Config.AttachStdout"),
    told("Config.AttachStderr"),
    row("Config.ExposedPorts", Expect::By(expect::exposed_ports), normal::keys),
    told("Config.Tty"),
    told("Config.OpenStdin"),
    told("Config.StdinOnce"),
    row("Config.Env", Expect::By(expect::merged_environment), normal::environment),
    by("Config.Cmd", expect::command),
    row("Config.Healthcheck", Expect::By(expect::health_check), normal::dense),
    state("Config.ArgsEscaped", "of Windows alone"),
    state("Config.Image", "the image's name of the day; the image itself is compared"),
    row("Config.Volumes", Expect::By(expect::volumes), normal::keys),
    row("Config.WorkingDir", Expect::Image, normal::directory),
    by("Config.Entrypoint", expect::entrypoint),
    told("Config.NetworkDisabled"),
    state("Config.MacAddress", "given by the engine where nothing is asked"),
    state("Config.OnBuild", "for builds alone"),
    by("Config.Labels", expect::labels),
    row("Config.StopSignal", Expect::Image, normal::signal),
    row("Config.StopTimeout", Expect::Told, normal::stop_timeout),
    state("Config.Shell", "for builds alone"),
    row("HostConfig.Binds", Expect::Told, normal::set),
    told("HostConfig.ContainerIDFile"),
    by("HostConfig.LogConfig.Type", expect::log_driver),
    by("HostConfig.LogConfig.Config", expect::log_options),
    told("HostConfig.NetworkMode"),
    row("HostConfig.PortBindings", Expect::Told, normal::ports),
    update_always(row("HostConfig.RestartPolicy.Name", Expect::Told, normal::restart_name)),
    update_always(told("HostConfig.RestartPolicy.MaximumRetryCount")),
    told("HostConfig.AutoRemove"),
    told("HostConfig.VolumeDriver"),
    told("HostConfig.VolumesFrom"),
    state("HostConfig.ConsoleSize", "of the terminal that made it"),
    told("HostConfig.Annotations"),
    row("HostConfig.CapAdd", Expect::Told, normal::capabilities),
    row("HostConfig.CapDrop", Expect::Told, normal::capabilities),
    told("HostConfig.Capabilities"),
    by("HostConfig.CgroupnsMode", expect::cgroup_namespace),
    told("HostConfig.Dns"),
    told("HostConfig.DnsOptions"),
    told("HostConfig.DnsSearch"),
    row("HostConfig.ExtraHosts", Expect::Told, normal::hosts),
    row("HostConfig.GroupAdd", Expect::Told, normal::set),
    by("HostConfig.IpcMode", expect::private_ipc),
    told("HostConfig.Cgroup"),
    told("HostConfig.Links"),
    told("HostConfig.OomScoreAdj"),
    told("HostConfig.PidMode"),
    told("HostConfig.Privileged"),
    told("HostConfig.PublishAllPorts"),
    told("HostConfig.ReadonlyRootfs"),
    row("HostConfig.SecurityOpt", Expect::By(expect::security_options), normal::security),
    told("HostConfig.StorageOpt"),
    told("HostConfig.Tmpfs"),
    told("HostConfig.UTSMode"),
    told("HostConfig.UsernsMode"),
    by("HostConfig.ShmSize", expect::shm_size),
    told("HostConfig.Sysctls"),
    by("HostConfig.Runtime", expect::runtime),
    row("HostConfig.Isolation", Expect::Told, normal::or_default),
    update(told("HostConfig.CpuShares")),
    update(told("HostConfig.Memory")),
    update(told("HostConfig.NanoCpus")),
    told("HostConfig.CgroupParent"),
    update(told("HostConfig.BlkioWeight")),
    told("HostConfig.BlkioWeightDevice"),
    told("HostConfig.BlkioDeviceReadBps"),
    told("HostConfig.BlkioDeviceWriteBps"),
    told("HostConfig.BlkioDeviceReadIOps"),
    told("HostConfig.BlkioDeviceWriteIOps"),
    update(told("HostConfig.CpuPeriod")),
    update(told("HostConfig.CpuQuota")),
    told("HostConfig.CpuRealtimePeriod"),
    told("HostConfig.CpuRealtimeRuntime"),
    update(told("HostConfig.CpusetCpus")),
    update(told("HostConfig.CpusetMems")),
    told("HostConfig.Devices"),
    told("HostConfig.DeviceCgroupRules"),
    told("HostConfig.DeviceRequests"),
    told("HostConfig.KernelMemory"),
    told("HostConfig.KernelMemoryTCP"),
    update(told("HostConfig.MemoryReservation")),
    update(by("HostConfig.MemorySwap", expect::swap)),
    row("HostConfig.MemorySwappiness", Expect::Told, normal::limit),
    told("HostConfig.OomKillDisable"),
    update_always(row("HostConfig.PidsLimit", Expect::Told, normal::limit)),
    row("HostConfig.Ulimits", Expect::By(expect::merged_ulimits), normal::ulimits),
    told("HostConfig.CpuCount"),
    told("HostConfig.CpuPercent"),
    told("HostConfig.IOMaximumIOps"),
    told("HostConfig.IOMaximumBandwidth"),
    row("HostConfig.Mounts", Expect::By(mounts::told_or_carried), normal::mounts),
    by("HostConfig.MaskedPaths", expect::masked_paths),
    by("HostConfig.ReadonlyPaths", expect::readonly_paths),
    told("HostConfig.Init"),
    state("NetworkSettings.Bridge", "the engine's bridge"),
    state("NetworkSettings.SandboxID", "made at each start"),
    state("NetworkSettings.SandboxKey", "made at each start"),
    state("NetworkSettings.HairpinMode", "the engine's"),
    state("NetworkSettings.Ports", "what PortBindings became"),
    state("NetworkSettings.LinkLocalIPv6Address", "the default bridge's"),
    state("NetworkSettings.LinkLocalIPv6PrefixLen", "the default bridge's"),
    state("NetworkSettings.SecondaryIPAddresses", "the default bridge's"),
    state("NetworkSettings.SecondaryIPv6Addresses", "the default bridge's"),
    state("NetworkSettings.EndpointID", "the default bridge's"),
    state("NetworkSettings.Gateway", "the default bridge's"),
    state("NetworkSettings.GlobalIPv6Address", "the default bridge's"),
    state("NetworkSettings.GlobalIPv6PrefixLen", "the default bridge's"),
    state("NetworkSettings.IPAddress", "the default bridge's"),
    state("NetworkSettings.IPPrefixLen", "the default bridge's"),
    state("NetworkSettings.IPv6Gateway", "the default bridge's"),
    state("NetworkSettings.MacAddress", "the default bridge's"),
];
