package decode

// A cache is a bounded map in two generations: when the young one is full it becomes the old one, and what is used moves
// back to the young. So it holds at most twice its limit, and what is in use stays.
type cache[V any] struct {
	limit      int
	young, old map[string]V
}

func newCache[V any](limit int) cache[V] {
	return cache[V]{limit: limit, young: make(map[string]V)}
}

func (c *cache[V]) get(key []byte) (V, bool) {
	if v, found := c.young[string(key)]; found {
		return v, true
	}
	v, found := c.old[string(key)]
	if found {
		c.put(string(key), v)
	}
	return v, found
}

func (c *cache[V]) getString(key string) (V, bool) {
	if v, found := c.young[key]; found {
		return v, true
	}
	v, found := c.old[key]
	if found {
		c.put(key, v)
	}
	return v, found
}

func (c *cache[V]) put(key string, v V) {
	if len(c.young) >= c.limit {
		c.young, c.old = make(map[string]V), c.young
	}
	c.young[key] = v
}
