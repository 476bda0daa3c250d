package stagetest

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

// inStereo waits until a video of the page has the tone on the left at its original level, and
// silence on the right.
func inStereo(page *browser.Page) {
	page.WaitFor(`(async () => {
		const stream = [...document.querySelectorAll('video')].map(v => v.srcObject)
			.find(s => s?.getAudioTracks().length);
		if (!stream) return false;
		const context = new AudioContext();
		const splitter = context.createChannelSplitter(2);
		context.createMediaStreamSource(stream).connect(splitter);
		const analysers = [0, 1].map(channel => {
			const analyser = new AnalyserNode(context, {fftSize: 8192});
			splitter.connect(analyser, channel);
			return analyser;
		});
		await new Promise(resolve => setTimeout(resolve, 400));
		const [left, right] = analysers.map(analyser => {
			const samples = new Float32Array(analyser.fftSize);
			analyser.getFloatTimeDomainData(samples);
			return Math.sqrt(samples.reduce((sum, s) => sum + s * s, 0) / samples.length);
		});
		context.close();
		return left > 0.33 && left < 0.37 && right < 0.01;
	})()`)
}

// Browsers mix received audio down to mono, unless their own offer requests stereo.
func TestPagesPlayStereo(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.publish(h.bea, rtcpeer.PublishOptions{Clip: rtcpeer.MakeClip(t,
		rtcpeer.ClipOptions{LeftTone: true})})

	t.Log("stereo in a browser source")
	source, _ := h.source(browser.OBS31, h.ana, string(h.bea.Me().ID))
	inStereo(source)

	t.Log("stereo in the tab People")
	inStereo(h.dock(browser.Current, "ana", browser.Options{Width: 460}))

	t.Log("stereo on the watch page")
	page := browser.Open(t, browser.Current, browser.Options{})
	page.Goto(h.URL + "/watch")
	page.Type("#f-name", "ana")
	page.Type("#f-password", apptest.Password)
	page.ClickText("Sign in")
	inStereo(page)
}
