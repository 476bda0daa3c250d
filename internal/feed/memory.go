package feed

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Memory implements Shared within one process.
type Memory struct {
	now func() time.Time
	// held while notices are delivered, so that all receivers get them in one order
	sending sync.Mutex

	mu        sync.Mutex
	receivers map[int]func(Notice)                  // guarded by mu
	joined    int                                   // guarded by mu
	posts     map[string]post                       // guarded by mu: by replica
	docks     map[access.UserID]map[string]seenDock // guarded by mu
	rooms     map[stage.ARN]*Room                   // guarded by mu
}

type post struct {
	present map[stage.ARN][]stage.Presence
	at      time.Time
}

type seenDock struct {
	Dock
	seen time.Time
}

var _ Shared = (*Memory)(nil)

// NewMemory returns an empty Memory.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{
		now:       now,
		receivers: map[int]func(Notice){}, posts: map[string]post{},
		docks: map[access.UserID]map[string]seenDock{}, rooms: map[stage.ARN]*Room{},
	}
}

// Send implements Relay. It returns after every receiver has the notices.
func (m *Memory) Send(_ context.Context, notices ...Notice) error {
	m.sending.Lock()
	defer m.sending.Unlock()
	m.mu.Lock()
	receivers := slices.Collect(maps.Values(m.receivers))
	m.mu.Unlock()
	for _, deliver := range receivers {
		for _, n := range notices {
			deliver(n)
		}
	}
	return nil
}

// Receive implements Relay.
func (m *Memory) Receive(ctx context.Context, deliver func(Notice)) error {
	m.mu.Lock()
	m.joined++
	id := m.joined
	m.receivers[id] = deliver
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.receivers, id)
	return nil
}

// Post implements Board.
func (m *Memory) Post(_ context.Context, replica string, p map[stage.ARN][]stage.Presence) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(p) == 0 {
		delete(m.posts, replica)
		return nil
	}
	m.posts[replica] = post{p, m.now()}
	return nil
}

// Posts implements Board.
func (m *Memory) Posts(_ context.Context, except string) (map[stage.ARN][]stage.Presence, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[stage.ARN][]stage.Presence{}
	for replica, p := range m.posts {
		if replica == except || m.now().Sub(p.at) > 3*PostEvery {
			continue
		}
		for arn, present := range p.present {
			all[arn] = append(all[arn], present...)
		}
	}
	return all, nil
}

// PutDock implements DockStore.
func (m *Memory) PutDock(_ context.Context, user access.UserID, d Dock, seen time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docks[user] == nil {
		m.docks[user] = map[string]seenDock{}
	}
	m.docks[user][d.ID] = seenDock{d, seen}
	return nil
}

// DeleteDock implements DockStore.
func (m *Memory) DeleteDock(_ context.Context, user access.UserID, id string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, found := m.docks[user][id]
	m.deleteDock(user, id)
	return found, nil
}

func (m *Memory) deleteDock(user access.UserID, id string) {
	delete(m.docks[user], id)
	if len(m.docks[user]) == 0 {
		delete(m.docks, user)
	}
}

// Docks implements DockStore.
func (m *Memory) Docks(_ context.Context, user access.UserID) (map[access.UserID][]Dock, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[access.UserID][]Dock{}
	add := func(id access.UserID) {
		for _, d := range m.docks[id] {
			all[id] = append(all[id], d.Dock)
		}
	}
	if user != "" {
		add(user)
		return all, nil
	}
	for id := range m.docks {
		add(id)
	}
	return all, nil
}

// ExpireDocks implements DockStore.
func (m *Memory) ExpireDocks(_ context.Context, before time.Time) ([]access.UserID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var users []access.UserID
	for user, docks := range m.docks {
		expired := false
		for id, d := range docks {
			if d.seen.Before(before) {
				m.deleteDock(user, id)
				expired = true
			}
		}
		if expired {
			users = append(users, user)
		}
	}
	return users, nil
}

// Room implements ChatStore.
func (m *Memory) Room(_ context.Context, arn stage.ARN, limit int) (Room, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rooms[arn]
	if r == nil {
		return Room{}, nil
	}
	newest := r.Messages[max(0, len(r.Messages)-limit):]
	return Room{slices.Clone(newest), slices.Clone(r.Muted), r.LastPost}, nil
}

// AddMessage implements ChatStore.
func (m *Memory) AddMessage(_ context.Context, arn stage.ARN, msg ChatMessage, keep int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.room(arn)
	r.Messages = append(r.Messages, msg)
	r.Messages = r.Messages[max(0, len(r.Messages)-keep):]
	r.LastPost = msg.Time
	return nil
}

// DeleteMessage implements ChatStore.
func (m *Memory) DeleteMessage(_ context.Context, arn stage.ARN, id string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.deleteMessages(arn, func(msg ChatMessage) bool { return msg.ID == id }), nil
}

// DeleteMessages implements ChatStore.
func (m *Memory) DeleteMessages(_ context.Context, arn stage.ARN, upTo time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deleteMessages(arn, func(msg ChatMessage) bool { return !msg.Time.After(upTo) })
	return nil
}

func (m *Memory) deleteMessages(arn stage.ARN, which func(ChatMessage) bool) bool {
	r := m.rooms[arn]
	if r == nil {
		return false
	}
	before := len(r.Messages)
	r.Messages = slices.DeleteFunc(r.Messages, which)
	return len(r.Messages) < before
}

// Mute implements ChatStore.
func (m *Memory) Mute(_ context.Context, arn stage.ARN, who Person, on bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.room(arn)
	r.Muted = slices.DeleteFunc(r.Muted, func(p Person) bool { return p.ID == who.ID })
	if on {
		r.Muted = append(r.Muted, who)
	}
	return nil
}

// room returns the room of a stage, a new one if there is none. The caller holds mu.
func (m *Memory) room(arn stage.ARN) *Room {
	if m.rooms[arn] == nil {
		m.rooms[arn] = &Room{}
	}
	return m.rooms[arn]
}
