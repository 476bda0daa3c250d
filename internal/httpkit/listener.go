package httpkit

import (
	"container/list"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// ConnectionLimits are the most connections that a Listener keeps open.
type ConnectionLimits struct {
	PerNetwork int     // of one client network, see Network
	Total      int     // of all networks; less than the files that the process may open
	Exempt     Proxies // networks that count in the total only
}

// A Listener limits connections by client network, so that one client cannot use up the connections
// of the process. At the limit of a network, it closes the connection of this network that has been
// idle for longest. At the total limit, it does so in the network with the most connections. If
// none is idle, it refuses the new connection.
//
// The field ConnState of the http.Server must be the Listener's method ConnState, which records the
// idle connections.
type Listener struct {
	net.Listener
	*counts
	exempt bool
}

// counts are the open connections of all listeners of a process.
type counts struct {
	limits ConnectionLimits
	log    *slog.Logger

	mu       sync.Mutex
	total    int                           // guarded by mu
	networks map[netip.Prefix]*connections // guarded by mu
}

// connections are the open connections of one network.
type connections struct {
	open int
	idle list.List // of *conn; the connection that has been idle for longest is first
}

// A conn is an accepted connection. It embeds *net.TCPConn, so that net.Buffers and io.Copy can use
// the system calls for TCP connections.
type conn struct {
	*net.TCPConn
	counts  *counts
	network netip.Prefix
	place   *list.Element // position in connections.idle; guarded by counts.mu
	closed  bool          // guarded by counts.mu
}

// NewListener returns a Listener that limits the connections of a TCP listener.
func NewListener(l net.Listener, limits ConnectionLimits, log *slog.Logger) *Listener {
	return &Listener{Listener: l, counts: &counts{
		limits: limits, log: log, networks: map[netip.Prefix]*connections{},
	}}
}

// Beside returns a Listener for another listener of the process. Both share the limits of l. If
// `exempt` is true, the connections of the new Listener count only in the total.
func (l *Listener) Beside(other net.Listener, exempt bool) *Listener {
	return &Listener{Listener: other, counts: l.counts, exempt: exempt}
}

// Accept returns the next connection that is within the limits, and closes the others.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, l.failed(err)
		}
		tcp, ok := accepted.(*net.TCPConn)
		if !ok {
			return accepted, nil
		}
		address := parseHost(tcp.RemoteAddr().String())
		c := &conn{TCPConn: tcp, counts: l.counts, network: Network(address)}
		if l.exempt {
			c.network = netip.Prefix{} // all connections of exempt listeners count as one network
		}
		victim, ok := l.admit(c, l.exempt || l.limits.Exempt.Contain(address))
		if victim != nil {
			victim.Close()
		}
		if ok {
			return c, nil
		}
		l.log.Warn("a connection was refused: too many are open", "network", Network(address))
		tcp.Close()
	}
}

// failed logs an error of Accept, and closes an idle connection, since the likely cause is too many
// open files. net/http then calls Accept again.
func (l *Listener) failed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	l.log.Warn("a connection was not accepted", "err", err)
	l.mu.Lock()
	victim := l.longestIdle(l.largest())
	l.mu.Unlock()
	if victim != nil {
		victim.Close()
	}
	return err
}

// admit counts a connection. It reports whether the connection is within the limits. If `victim` is
// not nil, the caller must close this idle connection, to make room.
func (l *counts) admit(c *conn, exempt bool) (victim *conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.networks[c.network]
	if of == nil {
		of = &connections{}
		l.networks[c.network] = of
	}
	full := !exempt && of.open >= l.limits.PerNetwork
	switch {
	case full:
		victim = l.longestIdle(of)
	case l.total >= l.limits.Total:
		full, victim = true, l.longestIdle(l.largest())
	}
	if full && victim == nil {
		l.forgetEmpty(c.network)
		return nil, false
	}
	of.open++
	l.total++
	// A connection that has not sent a request yet counts as idle, so that it can be closed.
	c.place = of.idle.PushBack(c)
	return victim, true
}

func (l *counts) forgetEmpty(network netip.Prefix) {
	if of := l.networks[network]; of != nil && of.open == 0 {
		delete(l.networks, network)
	}
}

// largest returns the network with the most connections, among the networks with an idle
// connection.
func (l *counts) largest() (most *connections) {
	for _, of := range l.networks {
		if of.idle.Len() > 0 && (most == nil || of.open > most.open) {
			most = of
		}
	}
	return most
}

// longestIdle removes from the list the connection that has been idle for longest, and returns it.
// The caller must close it after releasing the lock.
func (l *counts) longestIdle(of *connections) *conn {
	if of == nil || of.idle.Len() == 0 {
		return nil
	}
	c := of.idle.Remove(of.idle.Front()).(*conn)
	c.place = nil
	return c
}

// ConnState records which connections are idle. It is for the field ConnState of an http.Server.
func (l *counts) ConnState(of net.Conn, state http.ConnState) {
	if secure, ok := of.(interface{ NetConn() net.Conn }); ok {
		of = secure.NetConn()
	}
	c, ok := of.(*conn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed {
		return
	}
	if c.place != nil {
		l.networks[c.network].idle.Remove(c.place)
		c.place = nil
	}
	if state == http.StateIdle || state == http.StateNew {
		c.place = l.networks[c.network].idle.PushBack(c)
	}
}

// Close closes the connection and removes it from the counts.
func (c *conn) Close() error {
	c.counts.leave(c)
	return c.TCPConn.Close()
}

func (l *counts) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	of := l.networks[c.network]
	if c.place != nil {
		of.idle.Remove(c.place)
		c.place = nil
	}
	of.open--
	l.total--
	l.forgetEmpty(c.network)
}
