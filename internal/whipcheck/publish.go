package whipcheck

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	shortPublish = 2 * time.Second // longest duration of the publication with B-frames
	deleteLimit  = 5 * time.Second // limit for the end of the peer connection after a DELETE
)

// A session is a publication that the endpoint accepted.
type session struct {
	*peer
	url *url.URL
}

// mainPublication publishes as OBS does, from the offer to the DELETE.
func (r *run) mainPublication(ctx context.Context) bool {
	p, x, ok := r.begin(ctx)
	if p == nil {
		return false
	}
	defer p.close()
	if !ok {
		r.endQuietly(ctx, x)
		return false
	}
	if err := p.connect(ctx, string(x.body), r.ConnectLimit); err != nil {
		r.fail("connected", "%s.", r.clean(err.Error(), 160))
		r.endQuietly(ctx, x)
		return false
	}
	r.pass("connected", "ICE and DTLS are up.")
	u, err := x.session()
	if err != nil {
		return false // reported by the check "location"
	}
	s := &session{p, u}
	r.judgePublication(ctx, s)
	r.judgePatch(ctx, s)
	r.judgeDelete(ctx, s)
	return true
}

// begin sends the main offer and judges the answer.
func (r *run) begin(ctx context.Context) (*peer, exchange, bool) {
	p, err := newPeer()
	if err != nil {
		r.fail("created", "No offer could be made: %v.", err)
		return nil, exchange{}, false
	}
	offer, err := p.offer()
	if err != nil {
		r.fail("created", "No offer could be made: %v.", err)
		p.close()
		return nil, exchange{}, false
	}
	x, err := r.post(ctx, offer, r.Token.Reveal())
	if err != nil {
		r.is("in-time", x.duration <= r.AnswerLimit, "No answer within %s.", seconds(x.duration))
		r.fail("created", "No answer: %s.", r.clean(err.Error(), 160))
		p.close()
		return nil, x, false
	}
	return p, x, r.judgeAnswer(offer, x)
}

func (r *run) judgePublication(ctx context.Context, s *session) {
	frames, err := s.send(ctx, "baseline.h264", false, r.Publish)
	if err != nil {
		r.fail("publication", "The clip cannot be read: %v.", err)
		return
	}
	select {
	case <-s.ended:
		r.fail("publication", "The endpoint closed the connection after %d frames.", frames)
	default:
		r.pass("publication", "%d frames and the sound in %s; %d keyframe requests.",
			frames, seconds(r.Publish), s.keyframes.Load())
	}
	n := s.reports.Load()
	r.is("reports", n > 0, "%d receiver reports in %s; %d packets lost.", n, seconds(r.Publish),
		s.allLost())
}

// judgePatch sends the end of candidates, as a client with trickle ICE does.
func (r *run) judgePatch(ctx context.Context, s *session) {
	local := s.pc.LocalDescription().SDP
	fragment := strings.Join([]string{
		"a=ice-ufrag:" + lineOf(local, "a=ice-ufrag:"),
		"a=ice-pwd:" + lineOf(local, "a=ice-pwd:"),
		"m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:" + lineOf(local, "a=mid:"), "a=end-of-candidates",
		"",
	}, "\r\n")
	x, err := r.withOurs(ctx, http.MethodPatch, s.url, request{
		contentType: fragType, body: fragment,
	})
	if err != nil {
		r.fail("patch", "No answer: %s.", r.clean(err.Error(), 160))
		return
	}
	// 405 means no trickle ICE. 428 and 412 mean that the endpoint requires the ETag of the ICE
	// session.
	clear := []int{http.StatusNoContent, http.StatusMethodNotAllowed,
		http.StatusPreconditionRequired,
		http.StatusPreconditionFailed}
	r.is("patch", slices.Contains(clear, x.status), "PATCH answered %s.", r.said(x))
}

// lineOf returns the rest of the first line with a prefix.
func lineOf(text, prefix string) string {
	_, rest, _ := strings.Cut(text, prefix)
	line, _, _ := strings.Cut(rest, "\r\n")
	return line
}

func (r *run) judgeDelete(ctx context.Context, s *session) {
	x, err := r.withOurs(ctx, http.MethodDelete, s.url, request{})
	if err != nil {
		r.fail("delete", "No answer: %s.", r.clean(err.Error(), 160))
		return
	}
	if r.is("delete", x.status == http.StatusOK, "DELETE answered %s.", r.said(x)) ||
		x.status == http.StatusNoContent {
		r.is("delete-ends", s.gone(ctx, deleteLimit), "The connection's end was waited for %s.",
			seconds(deleteLimit))
	}
}

// closeThenDelete publishes again, with the same bearer and an offer like FFmpeg's. It ends in the
// order of OBS: it first closes the connection, and then deletes the session.
func (r *run) closeThenDelete(ctx context.Context) {
	s, x := r.shortSession(ctx, "setup-passive", passive)
	if s == nil {
		r.warn("setup-passive", "The endpoint answered %s.", r.said(x))
		if s, x = r.shortSession(ctx, "again", same); s == nil {
			r.fail("again", "The second publication was answered %s.", r.said(x))
			return
		}
	} else {
		r.pass("setup-passive", "The endpoint is the DTLS client.")
	}
	r.pass("again", "The second publication was accepted.")
	s.close()
	answer, err := r.withOurs(ctx, http.MethodDelete, s.url, request{})
	if err != nil {
		r.fail("delete-closed", "No answer: %s.", r.clean(err.Error(), 160))
		return
	}
	r.is("delete-closed", answer.status == http.StatusOK, "DELETE answered %s.", r.said(answer))
}

func same(offer string) string { return offer }

// shortSession opens another session and connects it. It returns nil if the endpoint refuses the
// offer or does not connect.
func (r *run) shortSession(
	ctx context.Context, id string, change func(string) string,
) (*session, exchange) {
	p, x := r.offerAgain(ctx, id, change)
	if p == nil {
		return nil, x
	}
	u, err := x.session()
	if err != nil || p.connect(ctx, string(x.body), r.ConnectLimit) != nil {
		p.close()
		r.endQuietly(ctx, x)
		return nil, x
	}
	return &session{p, u}, x
}

func (r *run) offerAgain(
	ctx context.Context, id string, change func(string) string, rids ...string,
) (*peer, exchange) {
	p, err := newPeer(rids...)
	if err != nil {
		r.fail(id, "No offer could be made: %v.", err)
		return nil, exchange{}
	}
	offer, err := p.offer()
	if err == nil {
		var x exchange
		if x, err = r.post(ctx, change(offer), r.Token.Reveal()); err == nil &&
			x.status == http.StatusCreated {
			return p, x
		}
		p.close()
		return nil, x
	}
	p.close()
	return nil, exchange{}
}

// bFrames publishes a clip with B-frames, and reports whether the endpoint accepts the clip or ends
// the session.
func (r *run) bFrames(ctx context.Context) {
	s, x := r.shortSession(ctx, "b-frames", same)
	if s == nil {
		r.warn("b-frames", "The publication was answered %s.", r.said(x))
		return
	}
	defer s.close()
	defer r.endQuietly(ctx, x)
	frames, err := s.send(ctx, "bframes.h264", true, min(shortPublish, r.Publish))
	if err != nil {
		r.fail("b-frames", "The clip cannot be read: %v.", err)
		return
	}
	select {
	case <-s.ended:
		r.pass("b-frames", "The endpoint ends a publication with B-frames, here after %d frames.",
			frames)
	default:
		r.warn("b-frames", "The endpoint takes B-frames and passes them on.")
	}
}

// simulcast offers three layers and only checks the answer.
func (r *run) simulcast(ctx context.Context) {
	p, x := r.offerAgain(ctx, "simulcast", same, "0", "1", "2")
	if p == nil {
		r.warn("simulcast", "The offer was answered %s.", r.said(x))
		return
	}
	defer p.close()
	defer r.endQuietly(ctx, x)
	if answer := string(x.body); strings.Contains(answer, "a=simulcast:recv") {
		r.is("simulcast", strings.Contains(answer, "rtp-stream-id"), "The layers are accepted.")
	} else {
		r.pass("simulcast", "The endpoint takes one layer.")
	}
}
