"""An alert channel of your own: one JSON line per alert, appended to a file.

Copy it into your package and name `open_channel` in its pyproject.toml:

    [project.entry-points."stock_platform.alert_channels"]
    file = "your_package.alert_channel:open_channel"
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from stock_platform.errors import TransientError
from stock_platform.serving.alerts.dispatch import Alert
from stock_platform.settings import Settings


@dataclass(frozen=True)
class FileChannel:
    """Appends alerts to a file that a log shipper reads."""

    path: Path
    name: str = "file"

    def send(self, alert: Alert) -> None:
        """Append one line; a full disk or a missing folder may be repaired, so try again."""
        line = {
            "kind": alert.kind.value,
            "severity": alert.severity.value,
            "title": alert.title,
            "text": alert.text,
            "link": alert.link,
        }
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise TransientError(f"the file of alerts: {error.strerror}") from None


def open_channel(settings: Settings) -> FileChannel | None:
    """Return the channel, or None where ALERT_FILE is not set. `settings` are the platform's."""
    path = os.environ.get("ALERT_FILE", "")
    return FileChannel(Path(path)) if path else None
