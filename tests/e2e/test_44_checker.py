"""The checker of the fault tests finds what it is there to find: planted faults in diaries that
would be right without them."""

import pytest
from support.checker import ACKNOWLEDGED, REFUSED, UNKNOWN, Diary, Publication, check
from support.member_checker import Change, Observer, Rules, Visit, check_changes, publications
from support.sse import Event


def acknowledged(seq, key=None, **more):
    return Publication(key or f"k{seq}", fate=ACKNOWLEDGED, seq=seq, **more)


def event(key, id):
    return Event("m", f"{key} padding", str(id), 0)


def checkpoint(id):
    return Event(None, "", str(id), 0)


def gap():
    return Event("ssecast.gap", '{"last":1,"oldest":2}', "", 0)


# Anna and bert; 11 and 12 are for everyone, 13 for anna, 14 for bert under its own id, 15 for a
# room, 16 not for anna.
PUBLICATIONS = [
    acknowledged(11), acknowledged(12),
    acknowledged(13, to={"sessions": ["anna"]}),
    acknowledged(14, "own", own_id=True, to={"sessions": ["bert"]}),
    acknowledged(15, to={"channels": ["room"]}),
    acknowledged(16, without={"sessions": ["anna"]}),
    acknowledged(20),
]
ANNA = [checkpoint(10), *(event(f"k{s}", s) for s in (11, 12, 13)), checkpoint(14),
        event("k15", 15), event("k20", 20)]
BERT = [checkpoint(10), event("k11", 11), event("k12", 12), event("own", "own"), checkpoint("own"),
        event("k16", 16), event("k20", 20)]


def judge(anna=None, bert=None, more=(), end=20, **options):
    diaries = [Diary("anna", "anna", ["room"], ANNA if anna is None else anna),
               Diary("bert", "bert", [], BERT if bert is None else bert)]
    return check([*PUBLICATIONS, *more], diaries, end, **options).complaints


def without(blocks, n):
    return blocks[:n] + blocks[n + 1:]


def test_what_is_right_is_right():
    assert judge() == []


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_lost_event_is_found(n):
    [complaint] = judge(anna=without(ANNA, n))
    assert f"did not see k{ANNA[n].id}" in complaint


def test_a_lost_last_event_is_found():
    [complaint] = judge(anna=ANNA[:-1])
    assert "did not see k20" in complaint and "before the end" in complaint


def test_a_stream_without_events_is_found():
    [complaint] = judge(anna=[checkpoint(10)])
    assert "did not see k11" in complaint and "4 more" in complaint


def test_a_stream_that_never_began_is_found():
    assert judge(anna=[]) == ["anna: its stream never began"]


def test_a_doubled_event_is_found():
    [complaint] = judge(anna=ANNA[:3] + [ANNA[2]] + ANNA[3:])
    assert "saw k12" in complaint and "twice" in complaint


def test_an_event_doubled_by_a_reconnect_is_found():
    [complaint] = judge(anna=ANNA[:3] + [checkpoint(12), ANNA[2]] + ANNA[3:])
    assert "twice" in complaint


def test_two_events_in_the_wrong_order():
    complaints = judge(anna=[ANNA[0], ANNA[2], ANNA[1], *ANNA[3:]])
    assert (any("did not see k11" in c for c in complaints)
            and any("out of order" in c for c in complaints))


def test_an_event_for_somebody_else():
    [complaint] = judge(bert=BERT[:3] + [event("k13", 13)] + BERT[3:])
    assert "does not concern it" in complaint


def test_an_event_for_all_but_this_one():
    [complaint] = judge(anna=ANNA[:-1] + [event("k16", 16), ANNA[-1]])
    assert "does not concern it" in complaint


def test_an_event_that_nobody_published():
    [complaint] = judge(anna=ANNA[:3] + [event("forged", 12)] + ANNA[3:])
    assert "nobody published" in complaint


def test_an_event_that_was_refused():
    refused = Publication("no", fate=REFUSED)
    assert judge(more=[refused]) == []
    assert any("was refused" in c
               for c in judge(anna=ANNA[:4] + [event("no", 14)] + ANNA[4:], more=[refused]))


def test_an_event_under_a_wrong_id():
    assert any("with the id 99" in c for c in judge(anna=ANNA[:3] + [event("k13", 99)] + ANNA[4:]))


def test_a_hole_before_a_checkpoint():
    [complaint] = judge(anna=ANNA[:3] + [checkpoint(13), *ANNA[4:]])
    assert "did not see k13" in complaint and "checkpoint 13 is ahead" in complaint


def test_a_checkpoint_that_goes_back():
    assert any("goes back" in c for c in judge(anna=ANNA[:4] + [checkpoint(12), *ANNA[4:]]))


def test_a_forged_checkpoint():
    assert any("no id that was given out" in c
               for c in judge(anna=ANNA[:4] + [checkpoint("what"), *ANNA[4:]]))


def test_a_gap_excuses_what_lies_before_its_checkpoint():
    anna = [ANNA[0], ANNA[1], gap(), checkpoint(14), *ANNA[5:]]
    assert judge(anna=anna, gaps_allowed=True) == []
    assert "told of a gap" in judge(anna=anna)[0]


def test_a_gap_excuses_nothing_that_lies_after_its_checkpoint():
    [complaint] = judge(anna=[ANNA[0], ANNA[1], gap(), checkpoint(12), ANNA[-1]], gaps_allowed=True)
    assert "did not see k13" in complaint and "1 more" in complaint


def test_after_a_gap_what_was_seen_may_come_again_and_only_once():
    anna = [*ANNA[:4], gap(), checkpoint(10), *ANNA[1:]]
    assert judge(anna=anna, gaps_allowed=True) == []
    assert any("twice" in c for c in judge(anna=anna[:7] + [anna[6]] + anna[7:], gaps_allowed=True))


def test_a_missing_gap():
    [complaint] = judge(anna=[ANNA[0], ANNA[1], checkpoint(14), *ANNA[5:]], gaps_allowed=True)
    assert "did not see k12" in complaint


def test_an_unacknowledged_event_appears_to_no_stream_or_to_all():
    maybe = event("maybe", 17)
    anna, bert = ANNA[:-1] + [maybe, ANNA[-1]], BERT[:-1] + [maybe, BERT[-1]]
    assert judge(more=[Publication("maybe", fate=UNKNOWN)]) == []
    assert judge(anna, bert, more=[Publication("maybe", fate=UNKNOWN)]) == []
    [complaint] = judge(anna, more=[Publication("maybe", fate=UNKNOWN)])
    assert complaint.startswith("bert: did not see maybe")


# Keys: 17 and 18 have one key, 19 has the same key for another target.
KEYED = [acknowledged(17, replaces="price"), acknowledged(18, replaces="price"),
         acknowledged(19, replaces="price", to={"sessions": ["carl"]})]


def with_prices(blocks, *seqs):
    return blocks[:-1] + [event(f"k{s}", s) for s in seqs] + blocks[-1:]


def test_a_value_that_was_replaced_may_be_missing():
    for seqs in ((17, 18), (18,)):
        assert judge(with_prices(ANNA, *seqs), with_prices(BERT, 17, 18), more=KEYED) == []


def test_the_newest_value_may_not_be_missing():
    [complaint] = judge(with_prices(ANNA, 17), with_prices(BERT, 18), more=KEYED)
    assert complaint.startswith("anna: did not see k18")


def test_an_older_value_after_a_newer_one():
    complaints = judge(with_prices(ANNA, 18, 17), with_prices(BERT, 18), more=KEYED)
    assert len(complaints) == 1 and "out of order" in complaints[0]


def test_a_private_value_stands_for_no_public_one():
    room = {"to": {"channels": ["room"]}, "replaces": "price"}
    more = [acknowledged(17, **room), acknowledged(18, private=True, **room)]
    assert judge(with_prices(ANNA, 17), more=more) == []
    [complaint] = judge(more=more)
    assert complaint.startswith("anna: did not see k17")
    [complaint] = judge(with_prices(ANNA, 17, 18), more=more)
    assert "does not concern it" in complaint


def test_a_private_event_reaches_the_session_that_it_names():
    more = [acknowledged(17, to={"sessions": ["anna"]}, private=True)]
    assert judge(with_prices(ANNA, 17), more=more) == []


def test_an_event_without_a_key_is_not_replaced():
    plain = [acknowledged(17), acknowledged(18)]
    [complaint] = judge(with_prices(ANNA, 18), with_prices(BERT, 17, 18), more=plain)
    assert "did not see k17" in complaint


def test_a_seq_used_twice():
    assert any("the same seq" in c
               for c in judge(more=[acknowledged(12, "other", to={"sessions": []})]))


def test_a_second_acknowledgement_with_another_seq():
    p = Publication("k")
    assert p.acknowledge(7) is None and p.acknowledge(7) is None
    assert "as 7 and as 8" in p.acknowledge(8)


# Members: anna comes at 100, is away for a moment at 110, and leaves at 120.

RULES = Rules(grace=5, lease=3, slack=1)
PAIR = "hall", "anna"
VISITS = {PAIR: [Visit(100, 100.1, 110), Visit(111, 111.1, 120)]}
JOINED, LEFT = Change(1, 100.2, *PAIR, True), Change(2, 125.1, *PAIR, False)


def test_members_that_come_and_go_are_right():
    assert check_changes([JOINED, LEFT], VISITS, RULES) == []
    assert check_changes([LEFT], VISITS, RULES, before=[PAIR]) == []


@pytest.mark.parametrize("changes, complaint", [
    ([JOINED, JOINED._replace(seq=3), LEFT._replace(seq=4)], "joined hall (seq 3, 100.200) twice"),
    ([JOINED, LEFT, LEFT._replace(seq=3)], "left hall (seq 3, 125.100) twice"),
    ([JOINED, LEFT._replace(at=115), JOINED._replace(seq=3, at=116), LEFT._replace(seq=4)],
     "had a stream from 111.100 to 120"),
    ([JOINED, LEFT, JOINED._replace(seq=3, at=127)], "had no stream"),
    ([], "for 9.900 s until 110.000, and is no member"),
])
def test_wrong_member_events_are_found(changes, complaint):
    assert any(complaint in c for c in check_changes(changes, VISITS, RULES)), check_changes(
        changes, VISITS, RULES
    )


def told(kind, session, id=""):
    return Event(kind, f'{{"session":"{session}"}}', str(id), 0)


def observed(*blocks):
    """A page that begins, and what it shows in the end."""
    observer = Observer("page", "hall").begin()
    changes = [Change(1, 1, "hall", "anna", True), Change(2, 2, "hall", "bert", True),
               Change(3, 3, "hall", "anna", False)]
    return observer, observer.read(blocks, changes)


def test_a_page_gets_the_list_and_then_changes():
    observer, blocks = observed(told("ssecast.join", "anna"), told("ssecast.join", "bert"),
                                checkpoint(2), told("ssecast.leave", "anna", 3))
    assert not observer.complaints and observer.view == {"bert"}
    assert [(b.data, b.id) for b in blocks if b.type] == [
        ("1 change", ""), ("2 change", ""), ("3 change", "3")
    ]


def test_a_page_whose_list_lacks_a_member():
    observer, _ = observed(told("ssecast.join", "bert"), checkpoint(2))
    assert "got the list ['bert'] at 2, and it was ['anna', 'bert']" in observer.complaints[0]


def test_a_page_that_is_not_told_of_a_change():
    changes = [Change(11, 1, "hall", "anna", True), Change(12, 2, "hall", "bert", True),
               Change(13, 3, "hall", "anna", False)]
    joins = Observer("page", "hall").begin().read(
        [checkpoint(10), told("ssecast.join", "anna", 11), told("ssecast.leave", "anna", 13)],
        changes
    )
    [complaint] = check(publications(changes),
                        [Diary("page", "watch", ["hall"], joins)], 13).complaints
    assert "did not see 12" in complaint
