package stagetest

import (
	"fmt"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

// A page that can reach only a TURN server plays through it. Pages read the TURN servers from the
// answer before they gather candidates.
func TestPagesUseTURN(t *testing.T) {
	t.Parallel()
	const secret = "a secret of the TURN server"
	turn := rtcpeer.StartTURN(t, secret)
	h := open(t, "--turn", turn.URL, "--turn-secret", secret)
	bea := h.bea.Token("publish")
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(bea.Endpoint, bea.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	token := h.ana.Token("view")
	for _, engine := range []browser.Engine{browser.OBS30, browser.Current} {
		before := turn.Allocations()
		page := browser.Open(t, engine, browser.Options{})
		page.Goto(h.URL + "/dock")
		page.Eval(fmt.Sprintf(`(async () => {
			const {play} = await import('/static/lib/whep.js');
			const relay = {iceTransportPolicy: 'relay'};
			class Peer extends RTCPeerConnection {
				constructor() { super(relay); }
				setConfiguration(config) { super.setConfiguration({...config, ...relay}); }
			}
			const bearer = (url, init) => fetch(url, {...init, headers: {...init.headers, Authorization: 'Bearer %s'}});
			window.played = await play(%q, {stream: s => {
				window.video ??= document.body.appendChild(document.createElement('aside')).appendChild(
					Object.assign(document.createElement('video'), {autoplay: true, muted: true}));
				window.video.srcObject = s;
			}}, {fetch: bearer, Peer});
		})()`, token.Token, bea.ParticipantID), nil)
		page.WaitFor(`window.video?.getVideoPlaybackQuality().totalVideoFrames > 10`)
		if turn.Allocations() == before {
			t.Errorf("%s: the TURN server was not used", engine)
		}
	}
}
