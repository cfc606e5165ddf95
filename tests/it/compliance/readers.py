"""Says where a reader of the real world disagrees with what `key_value` did to a file.

In: a JSON list of cases on standard input. Out: one line for each that is wrong, then how many
readings were compared.
"""

import configparser
import json
import os
import subprocess
import sys
import tempfile

try:
    import tomllib
except ImportError:
    tomllib = None

ENV = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nowhere"}
MARK = "\x01"


class Unreadable(Exception):
    pass


def output(*command):
    run = subprocess.run(command, env=ENV, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if run.returncode or run.stderr:
        raise Unreadable(run.stderr)
    return run.stdout


def shell(path, case):
    """Every variable that the file sets."""
    said = output("env", "-i", "sh", "-c", f'. "$1"; printf "{MARK}"; set', "sh", path)
    lines = said.rpartition(MARK)[2]
    found = {}
    for line in lines.splitlines():
        name, sign, value = line.partition("=")
        if sign and name.islower():
            found[name] = value.strip("'").replace("'\"'\"'", "'")
    return found.pop(case["key"], None), found


def python_ini(path, case):
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path)
    except configparser.Error as error:
        raise Unreadable(str(error)) from error
    # A new section is no entry; what `[DEFAULT]` says is said in each.
    all_ = {(s, k): parser[s][k] for s in ["DEFAULT", *parser.sections()] for k in parser[s]}
    all_ = {at: said for at, said in all_.items() if at[0] == "DEFAULT" or at[1] not in parser["DEFAULT"] or at[0] == case["section"]}
    own = all_.pop((case["section"], case["key"]), None)
    return own, sorted(all_.items())


def git_ini(path, case):
    said = output("git", "config", "-z", "--no-includes", "-f", path, "--list")
    own, others = None, []
    for entry in said.split("\0")[:-1]:
        name, sign, value = entry.partition("\n")
        if name == f"{case['section']}.{case['key']}":
            own = value if sign else "(none)"
        else:
            others.append(entry)
    return own, others


def ssh(path, case):
    said = dict(line.partition(" ")[::2] for line in output("ssh", "-G", "-F", path, "web").splitlines())
    own = said.pop(case["key"].lower()).lower()
    return (None if own == "info" else own), said


def nested(found, case):
    """The value at the key, and all else with the tables on the way to it."""
    *outer, last = case["key"].split(".")
    at = found
    for step in outer:
        if isinstance(at, dict) and step not in at and case["wanted"] is not None:
            at[step] = {}
        at = at.get(step) if isinstance(at, dict) else None
    own = at.pop(last, None) if isinstance(at, dict) else None
    # Python takes True for 1.
    return json.dumps(own, default=str), repr(found)


def python_toml(path, case):
    with open(path, "rb") as file:
        try:
            return nested(tomllib.load(file), case)
        except tomllib.TOMLDecodeError as error:
            raise Unreadable(str(error)) from error


def once(pairs):
    found = {}
    for name, value in pairs:
        # A name that stands again elsewhere in the file counts as well.
        name = name + "'" * sum(1 for other in found if other.rstrip("'") == name)
        found[name] = value
    return found


def python_json(path, case):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        return nested(json.loads(text if text.strip() else "{}", object_pairs_hook=once), case)
    except json.JSONDecodeError as error:
        raise Unreadable(str(error)) from error


READERS = {
    "equals": [shell],
    "ini": [python_ini, git_ini],
    "spaces": [ssh],
    "toml": [python_toml] if tomllib else [],
    "json": [python_json],
}


def read(reader, text, case, folder):
    path = os.path.join(folder, "file")
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return reader(path, case)


def main():
    compared = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in json.load(sys.stdin):
            for reader in READERS[case["format"]]:
                wanted = case["wanted"]
                if case["format"] in ("toml", "json"):
                    wanted = json.dumps(wanted)
                try:
                    _, others = read(reader, case["before"], case, folder)
                except Unreadable:
                    continue
                compared[reader.__name__] = compared.get(reader.__name__, 0) + 1
                try:
                    own, others_after = read(reader, case["after"], case, folder)
                except Unreadable as error:
                    own, others_after = f"unreadable: {error}", others
                if own != wanted or others_after != others:
                    print("wrong", reader.__name__, own, json.dumps(case))
    print("compared", json.dumps(compared))


main()
