package fakeobs

import (
	"context"
	"fmt"
	"sync"
)

// Accept answers every POST with 201. The session lasts until OBS ends it.
func Accept() WHIPOutput {
	return func(context.Context, string, string, bool) (Session, error) { return newLine(), nil }
}

// Refuse answers every POST with a status, which OBS does not report.
func Refuse(status int) WHIPOutput {
	return func(context.Context, string, string, bool) (Session, error) {
		return nil, fmt.Errorf("HTTP endpoint returned response code %d", status)
	}
}

// Hang answers no POST until the stream is stopped (OBS itself gives up after 8 s).
func Hang() WHIPOutput {
	return func(ctx context.Context, _, _ string, _ bool) (Session, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

// A Far is a WHIP server that the test controls.
type Far struct {
	mu     sync.Mutex
	line   *line
	answer WHIPOutput
	calls  []Call
}

// A Call is one POST of OBS.
type Call struct {
	Endpoint, Bearer string
	Opus             bool
}

// NewFar returns a Far that accepts every POST until Answer is called.
func NewFar() *Far { return &Far{answer: Accept()} }

// Output is the WHIPOutput for Options.
func (f *Far) Output(ctx context.Context, endpoint, bearer string, opus bool) (Session, error) {
	f.mu.Lock()
	f.calls = append(f.calls, Call{endpoint, bearer, opus})
	answer := f.answer
	f.mu.Unlock()
	s, err := answer(ctx, endpoint, bearer, opus)
	if l, ok := s.(*line); ok {
		f.mu.Lock()
		f.line = l
		f.mu.Unlock()
	}
	return s, err
}

// Answer sets how further calls are answered.
func (f *Far) Answer(a WHIPOutput) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = a
}

// Calls lists the POSTs so far.
func (f *Far) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// Drop closes the peer connection cleanly, after which OBS reconnects.
func (f *Far) Drop() { f.end(nil) }

// Lose makes ICE fail, after which OBS does not reconnect.
func (f *Far) Lose() { f.end(ErrICE) }

func (f *Far) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line != nil {
		f.line.end(err)
	}
}

// A line is a session without media.
type line struct {
	once sync.Once
	done chan struct{}
	err  error
}

func newLine() *line { return &line{done: make(chan struct{})} }

func (l *line) end(err error) {
	l.once.Do(func() { l.err = err; close(l.done) })
}

func (l *line) Done() <-chan struct{} { return l.done }
func (l *line) Err() error            { <-l.done; return l.err }
func (l *line) Close() error          { l.end(nil); return nil }
