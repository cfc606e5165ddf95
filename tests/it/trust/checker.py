#!/usr/bin/env python3
"""An independent checker: TRUST's rules once more, with git (and its gpg) and ssh-keygen as its only tools.

    checker.py REPOSITORY < lines of `<environment> <anchor> <tip>`     prints `good` or `bad` for each

Slow and literal; it reads of TOML what these histories need. It shares no code with the product."""
import ast, base64, datetime, os, re, subprocess, sys, tempfile

REPOSITORY = sys.argv[1]
os.environ["GIT_NO_REPLACE_OBJECTS"] = "1"
TEMP = tempfile.TemporaryDirectory()
CACHE = {}
class Bad(ValueError): """What is not UTF-8, not base64 or not a number is as bad."""
def need(condition):
    if not condition: raise Bad
def run(*args, data=b""):
    done = subprocess.run(args, input=data, capture_output=True, cwd=REPOSITORY)
    need(done.returncode == 0)
    return done.stdout
def once(function):
    """Remembers what a function of this repository gave, refusals included."""
    def wrapper(*args):
        key = (function.__name__, args)
        if key not in CACHE:
            try: CACHE[key] = (True, function(*args))
            except ValueError: CACHE[key] = (False, None)
        need(CACHE[key][0])
        return CACHE[key][1]
    return wrapper
PIPE = subprocess.PIPE
BATCH = subprocess.Popen(["git", "cat-file", "--batch"], cwd=REPOSITORY, stdin=PIPE, stdout=PIPE)

@once
def read(id, kind):
    BATCH.stdin.write(id.encode() + b"\n")
    BATCH.stdin.flush()
    head = BATCH.stdout.readline().split()
    need(len(head) == 3)
    data = BATCH.stdout.read(int(head[2]) + 1)[:-1]
    need(head[1] == kind.encode())
    return data

class Commit:
    def __init__(self, id):
        data = read(id, "commit")
        need(len(data) <= 256 * 1024 and b"\0" not in data)
        text = data.decode()
        head, _, self.message = text.partition("\n\n")
        form = (r"tree (?P<tree>[0-9a-f]{40})\n(?P<parents>(?:parent [0-9a-f]{40}\n)*)author [^\n]*\n"
                r"committer [^\n]*> (?P<time>\d+) [+-]\d{4}(?:\ngpgsig (?P<sig>[^\n]*(?:\n [^\n]*)*))?")
        match = re.fullmatch(form, head)
        need(match)
        self.id, self.tree, self.time = id, match["tree"], int(match["time"])
        self.parents = match["parents"].split()[1::2]
        need(len(set(self.parents)) == len(self.parents))
        self.signature = (match["sig"] or "").replace("\n ", "\n")
        self.payload = re.sub(r"\ngpgsig [^\n]*(\n [^\n]*)*", "", head) + "\n\n" + self.message
        last = re.split(r"\n[ \t]*\n", self.message.rstrip())[-1].split("\n")
        pairs = [re.fullmatch(r"([A-Za-z0-9-]+): (.*\S.*)", line) for line in last]
        self.trailers = [(p[1], p[2].strip(" ")) for p in pairs] if all(pairs) else []
    def all(self, key):
        return [value for k, value in self.trailers if k == key]
    def one(self, key):
        need(len(self.all(key)) == 1)
        return self.all(key)[0]
commit = once(Commit)

@once
def tree(id):
    """Files by path; every entry is a plain file in a plain place."""
    files, folded = {}, set()
    for line in run("git", "ls-tree", "-r", "-t", "-z", "--full-tree", id).split(b"\0")[:-1]:
        what, _, path = line.partition(b"\t")
        mode, kind, blob = what.decode().split()
        path = path.decode()
        need(mode in ("100644", "100755", "040000") and len(path.encode()) <= 1024 and path.count("/") < 32)
        need(not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in path))
        need(path.split("/")[-1].lower() not in (".", "..", ".git"))
        name = re.sub("[A-Z]", lambda m: m[0].lower(), path)
        need(name not in folded)
        folded.add(name)
        if kind != "tree": files[path] = (mode, blob)
    return files
def value(text):
    text = re.sub(r"([A-Za-z]+) = ", r'"\1": ', text) if text.startswith("{") else text
    return text if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else ast.literal_eval(text)

@once
def policy(tree_id, env):
    path = f"environments/{env}/trust.toml"
    need(path in tree(tree_id))
    table = top = {}
    for line in read(tree(tree_id)[path][1], "blob").decode().split("\n"):
        if line.startswith("["):
            table = top
            for part in line.strip("[]").split("."):
                table = table.setdefault(part, {})
        elif line and not line.startswith("#"):
            key, _, text = line.partition(" = ")
            table[key.strip()] = value(text.strip())
    need(top.get("version") == 1)
    return top
def person(rules, key, time):
    day = datetime.datetime.fromtimestamp(time, datetime.timezone.utc).date().isoformat()
    for name, entry in rules["people"].items():
        if key in [(listed.split() + [listed])[1] for listed in entry["keys"]]:
            return name if day <= entry.get("not_after", "9999") else None
def meets(rules, role, keys, time, whole=False):
    """Whether enough distinct people of the role are among those keys; `whole`: all of them are."""
    role = rules.get("roles", {}).get(role)
    need(role)
    names = [person(rules, key, time) for key in keys]
    need(not whole or all(name in role["people"] for name in names))
    need(len({n for n in names if n in role["people"]}) >= role.get("threshold", 1))

@once
def pgp_signed_by(id):
    """As trust.toml lists it; git asks gpg, whose ring has the certificates of `keys/`."""
    good, key = run("git", "log", "-1", "--format=%G? %GF", id).decode().split()
    need(good in "GU")
    return "openpgp:" + key

@once
def signed_by(armour, namespace, payload):
    """The key of a good signature, in base64 as in trust.toml."""
    path = os.path.join(TEMP.name, "signature")
    open(path, "w").write(armour.rstrip("\n") + "\n")
    run("ssh-keygen", "-Y", "check-novalidate", "-n", namespace, "-s", path, data=payload.encode())
    body = base64.b64decode("".join(armour.strip().split("\n")[1:-1]))
    size = int.from_bytes(body[10:14], "big")
    need(not body[18:].startswith(b"sk-") or body[-5] & 1)  # its flags: somebody touched it
    return base64.b64encode(body[14:14 + size]).decode()
def repository(tree_id):
    blob = tree(tree_id).get("tidegate.toml")
    return blob and re.search(r'^repository = "(.*)"$', read(blob[1], "blob").decode(), re.M)[1]

class Node:
    """A commit that counts. What it continues is its first parent, or what it lands as a wrapper."""
    def __init__(self, commit, below, time, said=None):
        self.id, self.tree, self.below = commit.id, commit.tree, below
        self.time, self.said = time, said
    def chain(node):
        while node:
            yield node
            node = node.below

def kind_of(path, env):
    top, name, rest = (path + "//").split("/", 2)
    if top != "environments" or "/" not in path: return "flow"
    own = "trust" if rest.split("/")[0] in ("trust.toml", "keys") else "own"
    return "foreign" if name != env or "/" not in path[13:] else own
def covers(paths, path):
    return paths is None or any(path == p or path.startswith(p + "/") for p in paths)
def changed(old, new):
    return {path for path, _ in tree(old).items() ^ tree(new).items()}

@once
def vouched(env, id):
    """The node of an anchor or of what lies below it: nothing is judged there, it is only read."""
    new = commit(id)
    if f"environments/{env}/trust.toml" not in tree(new.tree): return None
    last = said = None
    if len(new.parents) == 2 and commit(new.parents[1]).tree == new.tree and \
            any(node.id == new.parents[0] for node in vouched(env, new.parents[1]).chain()):
        last = vouched(env, new.parents[1])
    elif new.parents:
        last = vouched(env, new.parents[0])
        words = new.all("Tidegate") + [""]
        if last and words[0].endswith(" " + env):
            try: said = told(words[0].split(" ")[0], new, last)
            except ValueError: pass
    return Node(new, last, max(last.time if last else 0, new.time), said)
def told(kind, new, last):
    """What later commits go by: the kind, the source, its paths (none: all), the tree before it."""
    if kind == "pick":
        return kind, new.one("Promoted-From"), new.all("Promoted-Path"), last.tree
    return kind, (new.parents + [None, None])[1], None if kind == "promote" else [], last.tree

@once
def good(line, anchor, tip):
    """The node of `tip` on the chain of the last environment of `line`."""
    todo = []
    while tip != anchor and ("good", (line, anchor, tip)) not in CACHE:
        todo.append(tip)
        parents = commit(tip).parents
        need(parents)
        tip = parents[0]
    if tip != anchor:
        node = good(line, anchor, tip)
    else:
        policy(commit(anchor).tree, line[-1])
        node = vouched(line[-1], anchor)
    for id in reversed(todo):
        node = step(line, node, commit(id), 0)
        CACHE[("good", (line, anchor, id))] = (True, node)
    return node

def step(line, last, new, floor):
    time = max(last.time, new.time)
    if len(new.parents) == 2 and commit(new.parents[1]).tree == new.tree:
        try:
            landed, todo = new.parents[1], []
            while landed != last.id:
                todo.append(landed)
                need(commit(landed).parents)
                landed = commit(landed).parents[0]
            node = last
            for id in reversed(todo):
                node = step(line, node, commit(id), max(floor, time))
            return Node(new, node, time)
        except ValueError: pass
    return Node(new, last, time, judge(line, last, new, max(floor, time)))

ROWS = {  # kind: role, places, parents, may change
    "change": ("change", "first", (1, 2), {"flow", "foreign", "own"}),
    "promote": ("promote", "others", (2,), {"flow", "foreign"}),
    "pick": ("promote", "others", (1,), {"flow"}),
    "local": ("local", "any", (1,), {"own"}),
    "hotfix": ("hotfix", "others", (1,), {"flow"}),
    "rollback": ("rollback", "any", (1,), {"flow", "own"}),
    "admin": ("admin", "any", (1,), {"trust"}),
}

def judge(line, last, new, time):
    env, rules = line[-1], policy(last.tree, line[-1])
    tree(new.tree), policy(new.tree, env)
    said = [text for text in new.message.split("\n") if text.startswith("Tidegate:")]
    words = new.one("Tidegate").split(" ") if said else ["change", env]
    need(len(said) <= 1 and len(words) == 2 and words[1] == env and words[0] in ROWS)
    kind, promotion = words[0], rules.get("promotion")
    role, place, parents, may = ROWS[kind]
    need(place == "any" or (place == "first") == (promotion is None))
    named = {"pick": "Promoted-From", "rollback": "Rollback-To"}.get(kind)
    source = new.one(named) if named else (new.parents + [None, None])[1]
    need(new.signature)
    pgp = new.signature.startswith("-----BEGIN PGP")
    keys = [pgp_signed_by(new.id) if pgp else signed_by(new.signature, "git", new.payload)]
    for approval in new.all("Approved-By"):
        expires, armour = approval.split(" ")
        lines = ["tidegate-approval v1", f"repository: {repository(last.tree)}", f"environment: {env}",
                 f"kind: {kind}", f"from: {last.id}", f"source: {source or '-'}", f"tree: {new.tree}",
                 f"expires: {expires}", ""]
        armour = base64.b64decode(armour).decode()
        keys.append(signed_by(armour, "promote@tidegate", "\n".join(lines)))
        need(time <= datetime.datetime.fromisoformat(expires.replace("Z", "+00:00")).timestamp())
    meets(rules, role, keys, time, whole=True)
    differ = changed(last.tree, new.tree)
    kinds = {kind_of(path, env) for path in differ}
    need(len(new.parents) in parents and kinds <= may)
    need(repository(last.tree) in (None, repository(new.tree)))
    if kind == "change" and "own" in kinds:
        need(person(rules, keys[0], time) in rules["roles"].get("local", {}).get("people", []))
        meets(rules, "local", keys, time)
    if kind == "admin": meets(policy(new.tree, env), "admin", keys, time)
    if kind in ("change", "local", "admin"): return None
    need(all(new.all(key) for key in (promotion or {}).get("require", [])))
    if kind == "hotfix": return new.one("Hotfix") and told(kind, new, last)
    listed = new.all("Promoted-Path" if kind == "pick" else "Rollback-Path") if kind != "promote" else []
    need(listed or kind != "pick")
    for path in listed:
        need(not {"", ".", ".."} & set(path.split("/")) and path != "environments")
        need(kind_of(path, env) in may)
    paths, origin = listed or None, None
    need(re.fullmatch("[0-9a-f]{40}", source))
    if kind == "rollback":
        found = [node for node in last.chain() if node.id == source]
        need(found)
        origin = found[0]
    else:
        need(promotion["from"] not in line)
        origin = good(line + (promotion["from"],), promotion["anchor"], source)
        below = {node.id for node in origin.chain()}
        for node in last.chain():
            then = policy(node.tree, env).get("promotion") or {}
            if (then.get("from"), then.get("anchor")) != (promotion["from"], promotion["anchor"]):
                break
            if node.said and node.said[0] in ("promote", "pick"):
                theirs = node.said[2]
                both = [p for p in paths or [] if covers(theirs, p)] + \
                    [p for p in theirs or [] if covers(paths, p)]
                need(node.said[1] in below or not (both or paths is theirs is None))
        supersedes = new.all("Supersedes")
        need(all(re.fullmatch("[0-9a-f]{40}", id) for id in supersedes))
        for node in last.chain():
            if node.said and node.said[0] == "promote": break
            if node.said and node.said[0] == "hotfix" and node.id not in supersedes:
                for path in changed(node.said[3], node.tree):
                    old = tree(last.tree).get(path)
                    need(old != tree(node.tree).get(path) or old == tree(new.tree).get(path))
    inside = (lambda path: covers(paths, path)) if paths else (lambda path: kind_of(path, env) == "flow")
    need(not any(inside(path) for path in changed(origin.tree, new.tree)))
    need(kind == "promote" or all(inside(path) for path in differ))
    return told(kind, new, last)

sys.setrecursionlimit(10_000)
for asked in sys.stdin:
    env, anchor, tip = asked.split()
    try: good((env,), anchor, tip)
    except ValueError: print("bad", flush=True)
    else: print("good", flush=True)
