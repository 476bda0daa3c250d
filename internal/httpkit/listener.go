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
	Total      int     // of all of them, below the limit of the process for open files
	Exempt     Proxies // networks that count in the total only
}

// A Listener limits connections by client network, so that one client cannot use up the connections
// of the process. At a limit, it closes the connection that has been idle for longest: of the same
// network, or of the network with the most connections. If none is idle, it refuses the new
// connection.
//
// The ConnState of the http.Server must be the Listener's, which learns by it which connections are
// idle.
type Listener struct {
	net.Listener
	*counts
	exempt bool
}

// counts are the state that the listeners of a process share.
type counts struct {
	limits ConnectionLimits
	log    *slog.Logger

	mu       sync.Mutex
	total    int                           // guarded by mu
	networks map[netip.Prefix]*connections // guarded by mu
}

// connections are the connections of one network.
type connections struct {
	open int
	idle list.List // of *conn: the longest idle first
}

// A conn embeds the TCP connection, so that net.Buffers and io.Copy find its fast paths.
type conn struct {
	*net.TCPConn
	counts  *counts
	network netip.Prefix
	place   *list.Element // in idle; guarded by counts.mu
	closed  bool          // guarded by counts.mu
}

// NewListener limits the connections of a TCP listener.
func NewListener(l net.Listener, limits ConnectionLimits, log *slog.Logger) *Listener {
	return &Listener{Listener: l, counts: &counts{
		limits: limits, log: log, networks: map[netip.Prefix]*connections{},
	}}
}

// Beside returns a Listener for another listener of the process, which shares the limits of l.
// Connections of an exempt one count in the total only.
func (l *Listener) Beside(other net.Listener, exempt bool) *Listener {
	return &Listener{Listener: other, counts: l.counts, exempt: exempt}
}

// Accept returns the next connection within the limits.
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
			c.network = netip.Prefix{} // connections that count in the total only
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

// failed logs an error of accept. If the process has too many open files, it closes an idle
// connection, and net/http tries again.
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

// admit counts a connection. It reports whether there is room, and returns an idle connection to
// close first if needed.
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
	// A connection without a request so far counts as idle: it occupies a place and does nothing.
	c.place = of.idle.PushBack(c)
	return victim, true
}

func (l *counts) forgetEmpty(network netip.Prefix) {
	if of := l.networks[network]; of != nil && of.open == 0 {
		delete(l.networks, network)
	}
}

// largest returns the network with the most connections among those with idle ones.
func (l *counts) largest() (most *connections) {
	for _, of := range l.networks {
		if of.idle.Len() > 0 && (most == nil || of.open > most.open) {
			most = of
		}
	}
	return most
}

// longestIdle removes a connection from the idle ones. The caller closes it without holding the
// lock.
func (l *counts) longestIdle(of *connections) *conn {
	if of == nil || of.idle.Len() == 0 {
		return nil
	}
	c := of.idle.Remove(of.idle.Front()).(*conn)
	c.place = nil
	return c
}

// ConnState records which connections are idle.
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

// Close frees the place of the connection.
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
