"""The values everything else speaks in. Pure: no clock, no disk, no network."""
