package web

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/feed"
)

const writeLimit = 10 * time.Second

// A line is the connection of one event stream (WHATWG HTML, 9.2 Server-sent events). One goroutine
// writes; close may be called at any time.
type line interface {
	write(parts net.Buffers) error
	finish()        // ends the response properly
	waitForClient() // returns when the client has disconnected, or after close
	close()
}

// openLine begins the response. It takes an HTTP/1 connection over from net/http, which would keep
// two goroutines and the buffers of a request for each stream. The connection of HTTP/2 streams is
// shared and cannot be taken over, so such a stream keeps the goroutine of its handler.
func openLine(w http.ResponseWriter, r *http.Request) line {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // without it, nginx buffers events
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) // the server's ReadTimeout is only for requests
	w.WriteHeader(http.StatusOK)
	control.Flush()
	conn, _, err := control.Hijack()
	if err != nil {
		return &responseLine{
			w: w, control: control, gone: r.Context().Done(), closed: make(chan struct{}),
		}
	}
	return &connLine{conn: conn, chunked: r.ProtoAtLeast(1, 1)}
}

// A connLine is an event stream with its own HTTP/1 connection.
type connLine struct {
	conn    net.Conn
	chunked bool // whether the header announced chunks (RFC 9112, 7.1)
}

func (l *connLine) write(parts net.Buffers) error {
	l.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	if l.chunked {
		parts = chunk(parts)
	}
	_, err := parts.WriteTo(l.conn)
	return err
}

func chunk(parts net.Buffers) net.Buffers {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	head := append(strconv.AppendInt(nil, int64(size), 16), "\r\n"...)
	return append(append(net.Buffers{head}, parts...), []byte("\r\n"))
}

func (l *connLine) finish() {
	if l.chunked {
		l.conn.SetWriteDeadline(time.Now().Add(writeLimit))
		l.conn.Write([]byte("0\r\n\r\n"))
	}
}

// waitForClient reads until the connection ends. After its request, the client sends nothing more.
func (l *connLine) waitForClient() {
	var b [1]byte
	l.conn.Read(b[:])
}

func (l *connLine) close() { l.conn.Close() }

// A responseLine is an event stream that shares an HTTP/2 connection, and writes through net/http.
type responseLine struct {
	w       http.ResponseWriter
	control *http.ResponseController
	gone    <-chan struct{}
	once    sync.Once
	closed  chan struct{}
	writing sync.Mutex
}

func (l *responseLine) write(parts net.Buffers) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	select {
	case <-l.closed: // the handler may have returned, after which w is invalid
		return net.ErrClosed
	default:
	}
	l.control.SetWriteDeadline(time.Now().Add(writeLimit))
	// Remove the deadline. If the deadline passed between two events, the HTTP/2 stream would end.
	defer l.control.SetWriteDeadline(time.Time{})
	if _, err := parts.WriteTo(l.w); err != nil {
		return err
	}
	return l.control.Flush()
}

func (l *responseLine) finish() {}

// waitForClient also waits for a running write, since the response ends with the handler.
func (l *responseLine) waitForClient() {
	select {
	case <-l.gone:
	case <-l.closed:
	}
	l.close()
	l.writing.Lock()
	defer l.writing.Unlock()
}

func (l *responseLine) close() { l.once.Do(func() { close(l.closed) }) }

// sse returns a frame as a server-sent event. It does not copy the data, which many streams share.
func sse(f feed.Frame) net.Buffers {
	head := []byte{}
	if f.ID != 0 {
		head = append(strconv.AppendInt(append(head, "id: "...), f.ID, 10), '\n')
	}
	head = append(append(append(head, "event: "...), f.Name...), "\ndata: "...)
	return net.Buffers{head, f.Data, []byte("\n\n")}
}
