"""What the demo loses: five sessions, one never streamed, an outage, scattered minutes."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import yaml

from stock_platform.domain.sessions import Calendar

SESSIONS = 5
OUTAGE_AT, OUTAGE_MINUTES = "11:02", 7
SCATTERED = 0.0005
SEED = 7


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """The sessions of one demo and the folder everything is kept in."""

    folder: Path
    sessions: tuple[date, ...]
    symbols: int

    @classmethod
    def of_today(cls, folder: Path, symbols: int, now: datetime) -> "DemoPlan":
        """Take the last five sessions that have settled by `now`."""
        calendar = Calendar()
        # The newest settled one may still be waiting for its flat file: REST answers for it.
        last = calendar.previous(calendar.latest_closed(now))
        first = calendar.previous(last, SESSIONS - 1)
        return cls(folder.resolve(), tuple(calendar.sessions(first, last)), symbols)

    @property
    def lost_session(self) -> date:
        return self.sessions[0]

    @property
    def outage_session(self) -> date:
        return self.sessions[-2]

    @property
    def home(self) -> Path:
        return self.folder / "dagster"

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    def script(self) -> dict[str, object]:
        """Return the simulator's script: what is lost on the way to the lake."""
        return {
            "market": {
                "synthetic": {
                    "seed": SEED,
                    "symbols": self.symbols,
                    "first": self.sessions[0],
                    "last": self.sessions[-1],
                }
            },
            "feed": {
                "lost_sessions": [self.lost_session],
                "outages": [
                    {
                        "session": self.outage_session,
                        "at": OUTAGE_AT,
                        "minutes": OUTAGE_MINUTES,
                        # A reset would also lose what lies unread in the socket: at the
                        # replay's speed that is an hour of the session.
                        "kind": "close_1001",
                    }
                ],
                "drops": [{"fraction": SCATTERED}],
            },
        }

    def write_script(self) -> Path:
        path = self.folder / "simulation.yaml"
        path.write_text(yaml.safe_dump(self.script(), sort_keys=False))
        return path

    def environment(self, vendors: dict[str, str]) -> dict[str, str]:
        """Return the variables under which the platform runs in the demo."""
        return {
            **vendors,
            "DAGSTER_HOME": str(self.home),
            "STOCKS_LAKE": str(self.lake),
            "STOCKS_SERVING_SQLITE": str(self.folder / "serving.sqlite"),
            "STOCKS_SYMBOLS": "*",
            "STOCKS_FIRST_SESSION": self.sessions[0].isoformat(),
            "STOCKS_LAST_SESSION": self.sessions[-1].isoformat(),
            # The oldest session is outside the minute sensor's sight: `session_gaps` finds it.
            "STOCKS_LIVE_SESSIONS": str(SESSIONS - 1),
            "STOCKS_SENSOR_INTERVAL_S": "3",
        }
