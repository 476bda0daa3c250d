package rtcpeer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// An Endpoint returns the answer to an offer: a WHIP or WHEP endpoint, or the media plane itself.
type Endpoint func(ctx context.Context, offer string) (Answer, error)

// An Answer is the response to an offer.
type Answer struct {
	SDP      string
	Location string                          // the session URL, absolute
	Header   http.Header                     // headers of the 201
	HangUp   func(ctx context.Context) error // ends the session by the protocol; may be nil
}

// An ICEServer is a STUN or TURN server that an endpoint names.
type ICEServer struct{ URL, Username, Credential string }

// iceLink reads a Link header as OBS does: URL, then rel, username and credential in any order.
var iceLink = regexp.MustCompile(`^<((?:stun|turn)s?:[^>]+)>\s*;(.*)$`)

// ICEServers returns the servers in the answer's Link headers (RFC 9725, 4.6), one per header.
func (a Answer) ICEServers() (servers []ICEServer) {
	for _, link := range a.Header.Values("Link") {
		parts := iceLink.FindStringSubmatch(link)
		if parts == nil {
			continue
		}
		parameters := make(map[string]string)
		for part := range strings.SplitSeq(parts[2], ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			parameters[key] = strings.Trim(value, `"`)
		}
		if parameters["rel"] == "ice-server" {
			servers = append(servers, ICEServer{
				parts[1], parameters["username"], parameters["credential"],
			})
		}
	}
	return servers
}

// A StatusError is an answer other than 201.
type StatusError struct {
	Status int
	Body   string
	Header http.Header
}

// Error returns the status and the body.
func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Body) }

// HTTP returns a WHIP or WHEP endpoint over HTTP.
func HTTP(endpoint, bearer string) Endpoint {
	return func(ctx context.Context, offer string) (Answer, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint,
			strings.NewReader(offer))
		if err != nil {
			return Answer{}, err
		}
		req.Header.Set("Content-Type", "application/sdp")
		authorize(req, bearer)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return Answer{}, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil {
			return Answer{}, err
		}
		if resp.StatusCode != http.StatusCreated {
			return Answer{}, &StatusError{resp.StatusCode, string(body), resp.Header}
		}
		return httpAnswer(resp, string(body), bearer)
	}
}

func httpAnswer(resp *http.Response, sdp, bearer string) (Answer, error) {
	location, err := resp.Location()
	if err != nil {
		return Answer{}, fmt.Errorf("the 201 has no usable Location: %w", err)
	}
	return Answer{SDP: sdp, Location: location.String(), Header: resp.Header,
		HangUp: func(ctx context.Context) error {
			return hangUp(ctx, location, bearer)
		}}, nil
}

// hangUp ends the session. Like OBS, it accepts only the status 200.
func hangUp(ctx context.Context, location *url.URL, bearer string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, location.String(), nil)
	if err != nil {
		return err
	}
	authorize(req, bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		return &StatusError{resp.StatusCode, string(body), resp.Header}
	}
	return nil
}

func authorize(req *http.Request, bearer string) {
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
}
