"""What a run found, in words and figures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.chaos.generator import Sent
from tests.chaos.havoc import Struck
from tests.chaos.verdict import Finding, Tally

NEAR_S = 5.0


@dataclass
class Report:
    """One run.

    `silences` are, for each line of raw watchers, the longest times in s from an event's commit to its row on
    a watcher that had been attached since before the commit. `recoveries` are, for each kind of fault, the
    times in s from its end (a kill's moment) until every watcher on the line that it struck, for faults of
    the server every watcher on the steady line, had shown the first event that was committed afterwards.
    """

    seed: int
    seconds: float
    struck: Sequence[Struck]
    sent: Sent
    stored: int
    tally: Tally
    raw_watchers: int
    browsers: int
    reconnects: int
    times_behind: int
    starts: int
    settled_s: float
    silences: Mapping[str, float]
    recoveries: Mapping[str, Sequence[float]]
    last_words: str

    @property
    def findings(self) -> list[str]:
        """Everything that must not be, with the faults around it where a time is known."""
        refusals = [f"An event was refused: {refusal}" for refusal in self.sent.refusals]
        return refusals + [f"{finding.words}{self._faults_near(finding)}" for finding in self.tally.findings]

    def __str__(self) -> str:
        """The report as the terminal shows it."""
        sent, tally = self.sent, self.tally
        kinds: dict[str, list[Struck]] = defaultdict(list)
        for each in self.struck:
            kinds[each.fault.name].append(each)
        lines = [
            f"Chaos, {self.seconds:.0f} s of faults, seed {self.seed}",
            "",
            f"{'fault':44}{'times':>6}{'recovery: median':>18}{'longest':>9}",
        ]
        for name, all_of_them in sorted(kinds.items()):
            took = self.recoveries.get(name, ())
            figures = f"{median(took):16.1f} s{max(took):7.1f} s" if took else f"{'–':>18}{'–':>9}"
            lines.append(f"{name:44}{len(all_of_them):6}{figures}")
        lines += [
            "",
            f"events: {len(sent.channels):,} sent, {len(sent.seqs):,} answered with 202, {self.stored:,} in the log;"
            f" longest wait for an answer {sent.longest_answer_s:.1f} s",
            f"watchers: {self.raw_watchers} raw clients ({self.reconnects:,} reconnects,"
            f" {self.times_behind} times told to catch up), {self.browsers} browsers",
            f"starts of the app: {self.starts}",
            f"deliveries {tally.deliveries:,}, losses {tally.losses}, doubles {tally.doubles},"
            f" disorders {tally.disorders}",
            "longest silence: " + ", ".join(f"{line} {value:.1f} s" for line, value in sorted(self.silences.items())),
            f"after the last fault everything was whole within {self.settled_s:.1f} s",
        ]
        if self.findings:
            lines += ["", "NOT SO AS PROMISED:", *self.findings, "", "The app's last words:", self.last_words]
        return "\n".join(lines)

    def _faults_near(self, finding: Finding) -> str:
        if finding.when is None:
            return ""
        near = [
            f"{each.fault.name} ({each.line}) {each.began - finding.when:+.1f} to {each.ended - finding.when:+.1f} s"
            for each in self.struck
            if each.began - NEAR_S < finding.when < each.ended + NEAR_S
        ]
        return f"; faults around then: {', '.join(near) or 'none'}"
