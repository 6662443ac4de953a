"""What the benches of a whole server share: a store on one CPU, a generator on another, and CPU seconds.

Options that are looked at: build (folder), data (folder), connections, verify_sample, and what source() takes.
"""
import json
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAMS = ["spanmill", "spanmill-load", "bench_steps", "bench_dsync", "bench_gate"]
TICK = os.sysconf("SC_CLK_TCK")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def fail(text):
    print(f"bench: {text}", file=sys.stderr)
    sys.exit(1)


def amount(text):
    """1500000, 1.5e6, 600k, 1.5M"""
    scale = {"k": 1e3, "M": 1e6}.get(text[-1:], 1)
    return int(float(text[:-1] if scale > 1 else text) * scale)


def build(options):
    if not os.path.exists(os.path.join(options.build, "build.ninja")):
        say(f"configuring {options.build}")
        subprocess.run(["cmake", "-S", ROOT, "-B", options.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                        "-DSPANMILL_PRESET=release"], check=True, stdout=subprocess.DEVNULL)
    say("building")
    if subprocess.run(["ninja", "-C", options.build, "--quiet", *PROGRAMS], stdout=sys.stderr).returncode != 0:
        fail("the build failed")


# ---- programs, each on its CPU --------------------------------------------------------------------------------------
def cpus():
    """(the server's, the generator's)"""
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        say("only one CPU: server and generator share it, rates and ack times mean little")
    return mine[0], mine[-1]


class on_cpu:
    """Children that are started meanwhile run there, with all their threads. None: wherever they like."""

    def __init__(self, cpu):
        self.cpu = cpu

    def __enter__(self):
        self.before = os.sched_getaffinity(0)
        if self.cpu is not None:
            os.sched_setaffinity(0, {self.cpu})

    def __exit__(self, *_):
        os.sched_setaffinity(0, self.before)


def run(options, cpu, program, *words, good=(0,)):
    with on_cpu(cpu):
        answer = subprocess.run([os.path.join(options.build, program), *map(str, words)], capture_output=True, text=True)
    if answer.returncode not in good:
        fail(f"{program} {' '.join(map(str, words))}: exit code {answer.returncode}\n{answer.stdout}{answer.stderr}")
    return answer.stdout


def source(options, size):
    """The generator's options for what is sent."""
    what = ["--corpus", options.corpus] if options.corpus else ["--profile", options.profile]
    return [*what, "--seed", options.seed, "--spans-per-request", size]


# ---- the server -----------------------------------------------------------------------------------------------------
def cpu_ticks(stat_path):
    """(name, user, kernel) in clock ticks."""
    with open(stat_path, encoding="ascii", errors="replace") as file:
        head, _, rest = file.read().rpartition(")")
    fields = rest.split()
    return head.partition("(")[2], int(fields[11]), int(fields[12])


class Cpu:
    """CPU seconds of a process so far: of all its threads, ended ones included, and of each that lives."""

    def __init__(self, pid):
        _, user, kernel = cpu_ticks(f"/proc/{pid}/stat")
        self.user, self.kernel, self.threads, self.waited = user / TICK, kernel / TICK, {}, 0.0
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                name, user, kernel = cpu_ticks(f"/proc/{pid}/task/{task}/stat")
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                    self.waited += int(file.read().split()[1]) / 1e9  # ready to run, but another had the CPU
            except FileNotFoundError:
                continue
            before = self.threads.get(name, (0, 0))
            self.threads[name] = (before[0] + user / TICK, before[1] + kernel / TICK)

    @property
    def whole(self):
        return self.user + self.kernel


class Store:
    """A server over a fresh directory, or over a copy of another one's."""

    def __init__(self, options, size, *words, name="store", copy_of=None):
        sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
        os.environ["TEST_SPANMILL"] = os.path.join(options.build, "spanmill")
        from harness import Server  # after TEST_SPANMILL is set
        self.options, self.size = options, size
        self.path = os.path.join(options.data, name)
        shutil.rmtree(self.path, ignore_errors=True)
        if copy_of is not None:
            shutil.copytree(copy_of, self.path)
        self.server = Server(self.path, "--shards", "1", "--debug-endpoints", *words, log=os.path.join(options.data, f"{name}.log"))
        with on_cpu(SERVER_CPU):
            self.server.start()
        self.pid = self.server.process.pid

    def send(self, *words, size=None, endpoint=None):
        """Whole run of the generator; its report."""
        report = json.loads(run(self.options, GENERATOR_CPU, "spanmill-load", *source(self.options, size or self.size),
                                "--endpoint", endpoint or f"http://127.0.0.1:{self.server.otlp}",
                                "--connections", self.options.connections, "--quiet", "--json", *words))
        if report["errors"] or report["unknown"] or report["spans_rejected"]:
            fail(f"the server did not take everything: {report}")
        return report

    def sum(self, name):
        return sum(value for line, value in self.server.metrics().items() if line.startswith(f"spanmill_{name}{{"))

    def sum_of(self, name):
        """Of all classes of a metric of the process; 0 when there is none."""
        return sum(value for line, value in self.server.metrics().items() if line.startswith(f"spanmill_{name}"))

    def settle(self):
        """Until everything stored is sealed and the process does nothing any more."""
        self.server.seal()
        deadline = time.monotonic() + 120
        while self.sum("sealed_spans_total") < self.sum("spans_stored_total"):
            if time.monotonic() > deadline:
                fail("not everything was sealed after 120 s")
            time.sleep(0.02)
        before = -1.0
        while before != (now := Cpu(self.pid).whole):
            before = now
            time.sleep(0.1)

    def segment_bytes(self):
        folder = os.path.join(self.path, "segments")
        return sum(entry.stat().st_size for entry in os.scandir(folder))

    def rss_peak_bytes(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))

    def verify(self, acked):
        """(spans read back, wrong ones)"""
        text = run(self.options, GENERATOR_CPU, "spanmill-load", "--verify", "--acked-log", acked, "--query",
                   f"http://127.0.0.1:{self.server.query}", "--verify-sample", self.options.verify_sample, "--quiet", good=(0, 1))
        numbers = {key: int(float(value)) for key, _, value in (word.partition("=") for word in text.split()) if value}
        return numbers["acked"], sum(numbers[key] for key in ("missing", "doubled", "altered", "unread"))


SERVER_CPU, GENERATOR_CPU = cpus()
