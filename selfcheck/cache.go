// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// cacheTime is how old an answer may be: less than a person needs to notice.
	cacheTime = 3 * time.Second
	// cacheSize is how many answers are kept, of some 10 KB each.
	cacheSize = 128
)

// answerKey tells one answer from others.
type answerKey struct {
	addr     netip.Addr
	language string
	format   format
}

// cache keeps the latest answers, so that somebody who reloads costs little.
type cache struct {
	mu   sync.Mutex // protects kept; what is in it is never written to
	kept map[answerKey]kept
}

type kept struct {
	body []byte
	made time.Time
}

func newCache() *cache { return &cache{kept: make(map[answerKey]kept, cacheSize)} }

// get returns the answer, or nil. Nobody may change it.
func (c *cache) get(key answerKey, now time.Time) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.kept[key]; ok && now.Sub(k.made) < cacheTime {
		return k.body
	}
	return nil
}

// put keeps an answer. When there is no room even without those that are too old, all
// go: whoever fills it gains only that answers are made anew.
func (c *cache) put(key answerKey, body []byte, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) >= cacheSize {
		for key, k := range c.kept {
			if now.Sub(k.made) >= cacheTime {
				delete(c.kept, key)
			}
		}
	}
	if len(c.kept) >= cacheSize {
		clear(c.kept)
	}
	c.kept[key] = kept{body: body, made: now}
}
