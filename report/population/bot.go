// SPDX-License-Identifier: Apache-2.0

package population

import (
	"time"

	"op25b/census"
)

// awake draws in which hours an infected computer is on: 6 in 10 always, the others when
// somebody uses them.
func (l *life) awake() (on [days * 24]bool) {
	if l.rng.Float64() < 0.6 {
		for i := range on {
			on[i] = true
		}
		return on
	}
	for day := range days {
		from := l.at(day, 6.5+5*l.rng.Float64())
		until := from.Add(time.Duration(2+l.rng.IntN(14)) * time.Hour)
		for i := range on {
			t := l.start.Add(time.Duration(i) * time.Hour)
			on[i] = on[i] || !t.Before(from) && t.Before(until)
		}
	}
	return on
}

// bot tries in an hour as often as it is told, one destination or another.
type bot struct {
	again  bool // its system tries refused SYNs again
	repeat int  // how often it tries one that is refused
}

// newBot draws what bots differ in: half use the system's sockets, a third tries again.
func (l *life) newBot() bot {
	b := bot{again: l.rng.Float64() < 0.5, repeat: 1}
	if l.outcome == census.Refused && l.rng.Float64() < 0.33 {
		b.repeat += 1 + l.rng.IntN(3)
	}
	return b
}

func (l *life) spam(b bot, hour int, to int) {
	t := l.start.Add(time.Duration(hour)*time.Hour + time.Duration(l.rng.IntN(3600))*time.Second)
	for n := range b.repeat {
		l.try(t, exchanger(to, n, l.v6), l.packets(b.again))
		t = t.Add(time.Duration(5+l.rng.IntN(300)) * time.Second)
	}
}

// snowshoe tries 5 to 30 destinations an hour, around the clock or while the computer is
// on. Its list is long, and has the big providers in it as all lists do.
func (l *life) snowshoe() {
	b, on := l.newBot(), l.awake()
	pace := l.between(5, 30)
	for h := range on {
		if !on[h] {
			continue
		}
		for range l.often(pace) {
			l.spam(b, h, domain(l.rng, domains))
		}
	}
}

// burst tries 300 to 5000 destinations an hour for one to six hours, on one to four days,
// at any time. It may begin or end within an hour.
func (l *life) burst() {
	b := l.newBot()
	pace := l.between(300, 5000)
	for range 1 + l.rng.IntN(4) {
		from, long := l.rng.IntN(days*24), 1+l.rng.IntN(6)
		for h := from; h < min(from+long, days*24); h++ {
			share := 1.0
			if h == from {
				share = l.rng.Float64()
			}
			for range l.often(pace * share) {
				l.spam(b, h, l.rng.IntN(domains))
			}
		}
	}
}

// template tries the mail servers of the big providers only, three to five of them, 15 to
// 400 times an hour, around the clock or while the computer is on.
func (l *life) template() {
	b, on := l.newBot(), l.awake()
	pace := l.between(15, 400)
	first, few := l.rng.IntN(bigFive), 3+l.rng.IntN(bigFive-2)
	for h := range on {
		if !on[h] || l.rng.Float64() < 0.1 {
			continue
		}
		for range l.often(pace) {
			t := l.start.Add(time.Duration(h)*time.Hour + time.Duration(l.rng.IntN(3600))*time.Second)
			to := (first + l.rng.IntN(few)) % bigFive
			for range b.repeat {
				l.try(t, exchanger(to, l.rng.IntN(4), l.v6), l.packets(b.again))
				t = t.Add(time.Duration(5+l.rng.IntN(300)) * time.Second)
			}
		}
	}
}

// scan tries one address after the other, 20 to 8000 an hour, for one to 30 hours.
func (l *life) scan() {
	pace := l.between(20, 8000)
	next := l.rng.IntN(1 << 17)
	from, long := l.rng.IntN(days*24), 1+l.rng.IntN(30)
	for h := from; h < min(from+long, days*24); h++ {
		step := 3600 / pace
		for i := range int(pace) {
			t := l.start.Add(time.Duration(h)*time.Hour + time.Duration(float64(i)*step*float64(time.Second)))
			l.try(t, swept(next, l.v6), 1)
			next++
		}
	}
}

// mimic sends to one provider, as often and at the times at which people do: with what it
// has stolen, or to be taken for a mail program. Nothing that a census counts differs.
func (l *life) mimic() { l.home() }

// shared is an address of many households, 6 to 30. In half of the cases one has a bot.
func (l *life) shared() {
	for range 6 + l.rng.IntN(25) {
		l.shift = 0
		if l.rng.IntN(3) == 0 {
			l.appliance()
		} else {
			l.home()
		}
	}
	switch l.rng.IntN(6) {
	case 0:
		l.snowshoe()
	case 1:
		l.burst()
	case 2:
		l.template()
	}
}
