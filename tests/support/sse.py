"""A decoder of event streams, written from the WHATWG standard and not from our encoder, so that it
can judge it."""

import collections
import time

# id: the cursor after this event (EventSource's lastEventId); at: when it was read,
# time.monotonic()
Event = collections.namedtuple("Event", "type data id at")


class Decoder:
    """Checkpoints are not among the events: their ids are in .checkpoints.

    blocks: a list that every block with an id or data is added to, in order; type is None where
    nothing was dispatched."""

    def __init__(self, last_event_id="", blocks=None):
        self.blocks = blocks
        self.last_event_id = last_event_id
        self.retry = None       # milliseconds, as the stream last said
        self.comments = 0       # comment lines
        # ids of events ssecast.checkpoint, and of blocks that dispatched nothing
        self.checkpoints = []
        # what the first event ssecast.checkpoint said of the stream: its data, as text
        self.about = None
        self._rest, self._skip_lf, self._first = b"", False, True
        self._data, self._type, self._id = [], "", last_event_id
        self._had_id = False

    def feed(self, data):
        """The events that are complete with this piece of the stream."""
        if self._skip_lf and data[:1] == b"\n":
            data = data[1:]
        if not data:
            return []
        self._skip_lf = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines and self._first:
            lines[0], self._first = lines[0].removeprefix(b"\xef\xbb\xbf"), False
        events = []
        for line in lines:
            if line:
                self._field(line)
            elif (event := self._dispatch()) is not None:
                events.append(event)
        return events

    def _field(self, line):
        name, colon, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._type = value.decode(errors="replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id, self._had_id = value.decode(errors="replace"), True
        elif name == b"retry":
            if value.isdigit():
                self.retry = int(value)
        elif not name and colon:
            self.comments += 1

    def _dispatch(self):
        self.last_event_id = self._id
        data, kind, had_id = self._data, self._type, self._had_id
        self._data, self._type, self._had_id = [], "", False
        if kind == "ssecast.checkpoint" and data and self.about is None:
            self.about = b"\n".join(data).decode()
        if not data or kind == "ssecast.checkpoint":
            if had_id:
                self.checkpoints.append(self._id)
                self._keep(Event(None, "", self._id, time.monotonic()))
            return None
        event = Event(kind or "message", b"\n".join(data).decode(errors="replace"), self._id,
                      time.monotonic())
        self._keep(event)
        return event

    def _keep(self, block):
        if self.blocks is not None:
            self.blocks.append(block)
