// SPDX-License-Identifier: Apache-2.0

package population

import (
	"net/netip"
	"time"

	"op25b/census"
)

// packets draws how many SYNs an attempt has. Systems differ in what they do after a
// refusal: one tries twice again, others never. After silence all do.
func (l *life) packets(again bool) int {
	switch {
	case l.outcome != census.Refused && l.rng.Float64() < 0.97:
		return 1
	case l.dropped || l.outcome != census.Refused:
		return 3 + l.rng.IntN(4)
	case again:
		return 3
	}
	return 1
}

// home is a mail program of one household, at the times when somebody is awake. It has
// one provider, one in ten has two. A mail that is refused stays in the outbox and is
// tried again every few minutes while the computer is on, or when somebody presses a key.
func (l *life) home() {
	again := l.rng.Float64() < 0.7
	servers := l.outbox()
	mails := l.between(0.3, 8)
	every := time.Duration([...]int{0, 1, 5, 10, 30}[l.rng.IntN(5)]) * time.Minute
	for day := range days {
		on := 6.5 + 4*l.rng.Float64()
		off := on + 1 + 12*l.rng.Float64()
		for range l.often(mails) {
			t := l.at(day, on+(off-on)*l.rng.Float64())
			until := l.at(day, off)
			server := servers[l.rng.IntN(len(servers))]
			l.try(t, server, l.packets(again))
			if l.outcome != census.Refused {
				continue
			}
			for range l.rng.IntN(3) { // somebody tries again
				t = t.Add(time.Duration(10+l.rng.IntN(200)) * time.Second)
				l.try(t, server, l.packets(again))
			}
			if every == 0 {
				continue
			}
			for t = t.Add(every); t.Before(until); t = t.Add(every) {
				l.try(t, servers[l.rng.IntN(len(servers))], l.packets(again))
			}
			break // the others wait in the same outbox
		}
	}
}

// outbox draws the servers of a provider or two, with one to three addresses each.
func (l *life) outbox() (servers []netip.Addr) {
	accounts := 1
	if l.rng.Float64() < 0.1 {
		accounts = 2
	}
	for range accounts {
		provider := l.rng.IntN(providers)
		for n := range 1 + l.rng.IntN(3) {
			servers = append(servers, submission(provider, n, l.v6))
		}
	}
	return servers
}

// appliance reports by mail: at the same minute every day or every hour, or when something
// moves, at any hour. It has one provider, and gives up after a few tries.
func (l *life) appliance() {
	again := l.rng.Float64() < 0.2
	servers := l.outbox()
	tries := 1
	if l.outcome == census.Refused {
		tries += l.rng.IntN(4)
	}
	report := func(t time.Time) {
		for range tries {
			l.try(t, servers[l.rng.IntN(len(servers))], l.packets(again))
			t = t.Add(time.Duration(30+l.rng.IntN(300)) * time.Second)
		}
	}
	minute := float64(l.rng.IntN(4)*15) / 60
	switch style := l.rng.IntN(3); style {
	case 0: // every day
		at := float64(l.rng.IntN(24))
		for day := range days {
			report(l.at(day, at+minute))
		}
	case 1: // every hour, or every few
		step := 1 + l.rng.IntN(4)
		for h := 0; h < days*24; h += step {
			report(l.at(0, float64(h)+minute))
		}
	default: // when something moves, at times many times
		events := l.between(1, 30)
		for day := range days {
			for range l.often(events) {
				report(l.at(day, 24*l.rng.Float64()))
			}
		}
	}
}

// queue sends a mail as servers do: where it is refused, to each mail server of the domain,
// and again after 5, 10, 20 minutes and so on up to some 70, for as long as it keeps mail.
func (l *life) queue(t time.Time, to int, keep time.Duration, again bool) {
	wait := 5 * time.Minute
	for end := t.Add(keep); t.Before(end); {
		hosts := 1
		if l.outcome == census.Refused {
			hosts = 1 + l.rng.IntN(3)
		}
		for n := range hosts {
			l.try(t.Add(time.Duration(n)*time.Second), exchanger(to, n, l.v6), l.packets(again))
		}
		// Of what goes through, some is told to come later.
		if l.outcome != census.Refused && l.rng.Float64() < 0.95 {
			return
		}
		t = t.Add(wait + time.Duration(l.rng.IntN(60))*time.Second)
		wait = min(2*wait, 70*time.Minute)
	}
}

// office is a server that delivers what a few people write, 5 to 120 mails on a working
// day, to some dozens or hundreds of domains. A little is sent at night. What is refused
// stays in its queue for up to two days, and whoever waits so long writes less.
func (l *life) office() {
	again := l.rng.Float64() < 0.4
	circle := int(l.between(30, 400))
	mails := l.between(5, 120)
	keep := time.Duration(l.between(4, 48)) * time.Hour
	if l.outcome == census.Refused {
		mails = l.between(3, 40)
	}
	for day := range days {
		today := mails
		if l.weekend(day) {
			today = mails / 20
		}
		for range l.often(today) {
			at := 8 + 10*l.rng.Float64()
			if l.rng.Float64() < 0.05 {
				at = 24 * l.rng.Float64()
			}
			l.queue(l.at(day, at), domain(l.rng, circle), keep, again)
		}
	}
}

// newsletter goes to 50 to 2000 readers once or twice a week, at a time at which somebody
// presses the key, at up to 20 a minute. Most readers are with big providers.
func (l *life) newsletter() {
	again := l.rng.Float64() < 0.4
	readers := int(l.between(50, 2000))
	circle := int(l.between(100, 3000))
	pace := l.between(2, 20)
	keep := time.Duration(l.between(1, 12)) * time.Hour
	for range 1 + l.rng.IntN(2) {
		t := l.at(l.rng.IntN(days), 8+13*l.rng.Float64())
		for i := range readers {
			l.queue(t.Add(time.Duration(float64(i)/pace*60)*time.Second), domain(l.rng, circle), keep, again)
		}
	}
	// And between, its editor writes.
	for day := range days {
		for range l.often(l.between(0.5, 6)) {
			l.queue(l.at(day, 8+13*l.rng.Float64()), domain(l.rng, 50), keep, again)
		}
	}
}
