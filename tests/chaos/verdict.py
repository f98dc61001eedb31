"""What must hold at the end: the log is what was answered, and every list is the log."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from realtime_ui.client import EventClient
from tests.chaos.generator import Sent
from tests.chaos.watcher import Shown

PAGE = 1_000
TELL = 5  # seqs named in a finding


@dataclass
class Channel:
    """A channel as the log has it: ids and commit times (s since the epoch), of seq 1, 2, 3 and so on."""

    ids: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def head(self) -> int:
        """The last seq."""
        return len(self.ids)


Log = Mapping[str, Channel]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be, in words; and when it showed (s since the epoch), where that is known."""

    words: str
    when: float | None = None


@dataclass
class Tally:
    """Counts over all lists, and the findings."""

    deliveries: int = 0
    losses: int = 0
    doubles: int = 0
    disorders: int = 0
    findings: list[Finding] = field(default_factory=list)


async def read_log(client: EventClient, channels: Sequence[str]) -> dict[str, Channel]:
    """The whole log of some channels, over the API; one that counts otherwise than 1, 2, 3 … is refused."""
    log = {}
    for name in channels:
        channel = log[name] = Channel()
        while True:
            page = await client.history(name, after=channel.head, limit=PAGE)
            for message in page["messages"]:
                assert message["seq"] == channel.head + 1, f"{name} has a hole below {message['seq']}"
                channel.ids.append(message["id"])
                channel.times.append(message["timestamp"] / 1000)
            if channel.head >= page["last"]:
                break
    return log


def check_log(log: Log, sent: Sent) -> list[Finding]:
    """Whether the log holds each answered event once, where the answer said, and besides only what was sent."""
    findings = []
    places: dict[str, list[tuple[str, int]]] = {}
    for name, channel in log.items():
        for seq, identity in enumerate(channel.ids, 1):
            places.setdefault(identity, []).append((name, seq))
    for identity, seq in sent.seqs.items():
        found = places.get(identity, [])
        if found != [(sent.channels[identity], seq)]:
            answered = f"{sent.channels[identity]} #{seq}"
            findings.append(Finding(f"{identity} was answered as {answered}; the log has it at {found}"))
    for identity, found in places.items():
        if identity not in sent.channels:
            findings.append(Finding(f"{identity} stands at {found} and was never sent"))
        elif found != [(sent.channels[identity], found[0][1])]:
            findings.append(Finding(f"{identity} was sent once to {sent.channels[identity]} and stands at {found}"))
    return findings


def check_list(shown: Shown, channel: Channel, tally: Tally, *, to_the_end: bool = True) -> None:
    """Whether a list is the log from where it began, each row once, in order, with its own event.

    Args:
        shown: the list.
        channel: its log.
        tally: where it is counted and told.
        to_the_end: the list must reach the head; False for one that was closed before.
    """
    first = min(shown.seqs, default=1) if shown.after is None else shown.after + 1
    last = channel.head if to_the_end else max(shown.seqs, default=0)
    there = Counter(shown.seqs)
    lost = [seq for seq in range(first, last + 1) if seq not in there]
    doubled = [seq for seq, times in there.items() if times > 1]
    late = [seq for before, seq in zip(shown.seqs, shown.seqs[1:], strict=False) if seq < before]
    strange = [
        seq
        for seq, identity in zip(shown.seqs, shown.ids, strict=True)
        if seq > channel.head or (identity and identity != channel.ids[seq - 1])
    ]
    tally.deliveries += len(there)
    tally.losses += len(lost) + len(strange)
    tally.doubles += len(shown.seqs) - len(there)
    tally.disorders += len(late)
    for what, seqs in (("lacks", lost), ("doubles", doubled), ("shows too late", late), ("has otherwise", strange)):
        if seqs:
            _tell(tally, shown, what, seqs)


def caught_up_at(shown: Shown, channel: Channel, moment: float) -> float | None:
    """When a list showed the first event committed after a moment; None if there was none, or it began later."""
    seq = bisect_left(channel.times, moment) + 1
    if seq > channel.head or not shown.seqs or shown.seqs[0] > seq:
        return None
    place = bisect_left(shown.seqs, seq)
    return shown.times[place] if place < len(shown.seqs) else None


def _tell(tally: Tally, shown: Shown, what: str, seqs: Sequence[int]) -> None:
    some = ", ".join(map(str, seqs[:TELL])) + (f" … ({len(seqs)} in all)" if len(seqs) > TELL else "")
    # When the row came that stands where the first of them is or should be.
    later = (when for seq, when in zip(shown.seqs, shown.times, strict=True) if seq >= seqs[0])
    when = next(later, shown.times[-1] if shown.times else None)
    tally.findings.append(Finding(f"{shown.watcher} ({shown.line}) {what} {shown.channel} {some}", when))
