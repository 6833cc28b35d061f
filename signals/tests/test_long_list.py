"""A watch list far beyond the budget: nobody is forgotten, and the desk says what it cannot do."""

from collections import deque
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from events.clock import utc_now
from signals import coverage as covering
from signals import flow_link, source_health, tasks
from signals.coverage import coverage
from signals.domain.limiter import CallClass, LocalLimiter, budgets_within
from signals.models import SignalSettings, SourceHealth, WatchListEntry
from signals.tests.domain.test_polling import answer

pytestmark = pytest.mark.django_db

THREADS = 4
PATIENCE = 8  # seconds a poll waits for a token


def watch(symbols, since=None):
    WatchListEntry.objects.all().delete()
    since = since or utc_now()
    WatchListEntry.objects.bulk_create(WatchListEntry(symbol=f"S{number:03}", added_at=since) for number in range(symbols))


class Desk:
    """Beat, a queue whose messages expire, and four threads that share one budget, in virtual seconds."""

    def __init__(self, monkeypatch):
        self.now = utc_now()
        self.limiter = LocalLimiter(budgets_within(30, 15), clock=lambda: self.now.timestamp())
        self.queue = deque()  # (ticker, when the message expires)
        self.threads = []  # (ticker, when it gives up)
        self.got_token = False
        self.asked = []  # tickers, in the order they were asked
        monkeypatch.setattr(tasks, "utc_now", lambda: self.now)
        monkeypatch.setattr(covering, "utc_now", lambda: self.now)
        monkeypatch.setattr(source_health, "utc_now", lambda: self.now)
        monkeypatch.setattr(flow_link, "tokens", lambda kind: answer(self.limiter.level(kind)), raising=False)
        monkeypatch.setattr(tasks, "_poll", self._poll)
        monkeypatch.setattr(tasks.poll_ticker, "apply_async", self._send)

    def _send(self, arguments, *, expires):
        self.queue.append((arguments[0], self.now + timedelta(seconds=expires)))

    def _poll(self, ticker, health, notes, entry, settings):
        if self.got_token:
            self.asked.append(ticker)
            health.succeeded(self.now, new=True)
        else:
            health.postponed(self.now, "no budget", interval=timedelta(seconds=60))
            notes.postponed = True
        return health

    def run(self, seconds):
        for second in range(seconds):
            if second % 5 == 0:
                tasks.poll_due()
            self._work()
            self.now += timedelta(seconds=1)

    def _work(self):
        while self.queue and len(self.threads) < THREADS:
            ticker, expires = self.queue.popleft()
            if self.now < expires:
                self.threads.append((ticker, self.now + timedelta(seconds=PATIENCE)))
        for ticker, gives_up in list(self.threads):
            self.got_token = answer(self.limiter.take(CallClass.STANDARD)) == 0
            if self.got_token or self.now >= gives_up:
                self.threads.remove((ticker, gives_up))
                tasks.poll_ticker(ticker)


@pytest.fixture
def desk(monkeypatch):
    return Desk(monkeypatch)


def test_of_208_symbols_each_is_asked_within_ten_minutes_and_then_again_in_the_same_order(desk):
    watch(208, desk.now)
    desk.run(10 * 60)
    first, again = desk.asked[:208], desk.asked[208:]
    assert sorted(first) == [f"S{number:03}" for number in range(208)]
    assert again
    assert again == first[: len(again)]


def test_the_desk_says_that_208_symbols_are_too_many_and_how_old_the_oldest_is(desk):
    watch(208, desk.now)
    desk.run(5 * 60)
    found = coverage()
    assert found.state == "degraded"
    assert found.never == 208 - len(desk.asked)
    text = found.words()
    assert f"No fresh answer for {len(found.late)} of 208 symbols: {found.oldest}, " in text
    assert "the oldest waits 5 minutes" in text
    assert f"{208 - len(desk.asked)} symbols not answered for yet" in text
    assert "The budget allows 23 a minute, one round takes 9 minutes" in text
    SourceHealth.objects.filter(ticker="").update(state="ok", last_success=desk.now)
    part = source_health.flow_part()
    assert (part["state"], part["detail"]) == ("degraded", text)
    assert part["watch"]["per_minute"] == 23


def test_a_list_within_the_budget_is_fresh_and_the_desk_says_so(desk):
    watch(20, desk.now)
    desk.run(5 * 60)
    found = coverage()
    assert (found.state, found.never, found.beyond()) == ("ok", 0, "")
    assert found.age <= 70
    assert found.words().startswith("20 symbols, up to 23 asked a minute; the oldest answer (S0")


def test_the_night_is_not_held_against_a_symbol_but_the_time_since_the_opening_is(desk, monkeypatch):
    watch(20, desk.now)
    desk.run(2 * 60)
    desk.now += timedelta(hours=17)
    assert coverage().state == "degraded"
    monkeypatch.setattr(covering, "market_opened", lambda now: desk.now - timedelta(seconds=30))
    assert (coverage().state, coverage().age) == ("ok", 30)
    monkeypatch.setattr(covering, "market_open", lambda now: False)
    assert coverage().words() == "20 symbols; the market is closed and nothing is asked."


def test_a_symbol_the_provider_does_not_know_is_not_called_late(desk):
    watch(3, desk.now)
    desk.run(60)
    desk.now += timedelta(minutes=10)
    SourceHealth.objects.filter(ticker="S001").update(detail={"dropped": True}, last_attempt=desk.now)
    assert set(coverage().late) == {"S000", "S002"}


@pytest.fixture
def boss(client):
    client.force_login(get_user_model().objects.create_superuser("boss", password="x"))
    return client


def warnings(page):
    return [str(message) for message in page.context["messages"] if message.level_tag == "warning"]


def add(client, symbol):
    return client.post(reverse("admin:signals_watchlistentry_add"), {"symbol": symbol, "enabled": "on"}, follow=True)


def test_an_edit_that_makes_the_list_longer_than_the_budget_is_warned_of_with_the_figures(boss):
    watch(68)
    assert warnings(add(boss, "AAA")) == []
    [text] = warnings(add(boss, "BBB"))
    assert "With 70 symbols and 23 requests a minute each is asked about every 3 minutes" in text
    assert "At most 69 symbols fit." in text
    assert "FLOW_REQUESTS_PER_MINUTE" in text


def test_the_list_in_the_admin_says_how_it_is_covered_and_warns_of_edits_in_it(boss):
    watch(100)
    url = reverse("admin:signals_watchlistentry_changelist")
    assert "100 symbols" in boss.get(url).content.decode()
    entries = WatchListEntry.objects.order_by("symbol")[:100]
    form = {"form-TOTAL_FORMS": "100", "form-INITIAL_FORMS": "100", "_save": "Save"}
    for index, entry in enumerate(entries):
        form |= {f"form-{index}-id": entry.pk} | ({f"form-{index}-enabled": "on"} if index else {})
    [text] = warnings(boss.post(url, form, follow=True))
    assert "With 99 symbols" in text


def test_asking_more_often_than_the_budget_allows_is_warned_of_too(boss, settings):
    watch(23)
    url = reverse("admin:signals_signalsettings_change", args=[SignalSettings.current().pk])
    form = {name: value for name, value in boss.get(url).context["adminform"].form.initial.items() if value is not None}
    assert warnings(boss.post(url, form | {"poll_seconds": 30}, follow=True)) == []
    [text] = warnings(boss.post(url, form | {"poll_seconds": 10}, follow=True))
    assert "At most 11 symbols fit." in text
    settings.FLOW_REQUESTS_PER_MINUTE = 300
    assert warnings(boss.post(url, form | {"poll_seconds": 10}, follow=True)) == []


def test_the_signals_page_says_how_the_list_is_covered(boss):
    watch(100, utc_now() - timedelta(minutes=5))
    page = boss.get(reverse("signals:list")).content.decode()
    assert "Watch list: No fresh answer for 100 of 100 symbols" in page
    assert "The budget allows 23 a minute, one round takes 4 minutes" in page
