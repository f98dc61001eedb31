"""People who come back all at once."""

import json
import subprocess
import sys

from bench.results import Figures
from bench.say import say, verdict
from bench.stage import Ground, more_people, server
from tests.app import ROOT

SETTLED_S, GROWTH = 3, 4.4


def presence(base: Ground) -> Figures:
    """A storm of people who come back at once: how soon all see the same list, and what it costs a tab."""
    seconds, most = 5, 300
    say(f"\nPresence: people who all enter one channel within {seconds} s, each with a tab of their own")
    cookies = [f"realtime_session={token}" for token in more_people(base, most)]
    found = {}
    for number in (50, 100, 200, most):
        with server("ours", base) as target:
            command = [sys.executable, "-m", "bench.joins", target.url.replace("http", "ws"), str(seconds)]
            lines = "\n".join(cookies[:number]) + "\n\n"
            done = subprocess.run(command, cwd=ROOT, input=lines, stdout=subprocess.PIPE, text=True, check=True)
            result = found[number] = json.loads(done.stdout)
        say(
            f"  {number:3} people, in within {result['joined_within']:.1f} s: settled {result['settled']:.2f} s after"
            f" the last, {'the same right list everywhere' if result['right'] else 'NOT the right list everywhere'},"
            f" {result['bytes_mean'] / 1000:.1f} kB a tab, {result['bytes_most'] / 1000:.1f} kB at most"
        )
    verdict("settled after the last join", found[most]["settled"], SETTLED_S, unit=" s")
    verdict("bytes a tab, 200 / 50 people", found[200]["bytes_mean"] / found[50]["bytes_mean"], GROWTH)
    return {str(number): result for number, result in found.items()}
