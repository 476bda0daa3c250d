package obs

import (
	"context"
	"encoding/json"
	"slices"
)

// A Watch collects the events of one type from its creation on.
type Watch struct {
	client *Client
	kind   string
	events chan event
}

// Watch starts to collect events; Stop ends it. Create the watch before the request that causes the
// event.
func (c *Client) Watch(kind string) *Watch {
	w := &Watch{c, kind, make(chan event, 64)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		close(w.events)
		return w
	}
	c.watchers = append(c.watchers, w)
	return w
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.client.mu.Lock()
	defer w.client.mu.Unlock()
	w.client.watchers = slices.DeleteFunc(w.client.watchers, func(x *Watch) bool { return x == w })
}

// Next waits for the next event and decodes it into "into", which is a pointer or nil.
func (w *Watch) Next(ctx context.Context, into any) error {
	select {
	case e, ok := <-w.events:
		if !ok {
			return w.client.Err()
		}
		if into == nil {
			return nil
		}
		return json.Unmarshal(e.Data, into)
	case <-ctx.Done():
		return ctx.Err()
	}
}
