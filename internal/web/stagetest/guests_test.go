package stagetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// guestPage is the page of another application, on its own origin. It uses the stock IVS web SDK,
// and fetch for the chat.
const guestPage = `<!doctype html><title>guest</title><script src="/amazon-ivs-web-broadcast.js"></script><body><p id="chat"></p><script>
let stage, camera, microphone;
async function join(token, chat) {
	const {Stage, LocalStageStream, SubscribeType, StageEvents} = IVSBroadcastClient;
	const media = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 640, height: 360}});
	camera = new LocalStageStream(media.getVideoTracks()[0]);
	microphone = new LocalStageStream(media.getAudioTracks()[0]);
	stage = new Stage(token, {
		stageStreamsToPublish: () => [camera, microphone],
		shouldPublishParticipant: () => true,
		shouldSubscribeToParticipant: () => SubscribeType.AUDIO_VIDEO,
	});
	stage.on(StageEvents.STAGE_PARTICIPANT_STREAMS_ADDED, (who, streams) => {
		if (who.isLocal) return;
		const video = document.querySelector('#p-' + who.id + ' video') ?? document.body.appendChild(Object.assign(document.createElement('div'), {id: 'p-' + who.id, className: 'who'})).appendChild(document.createElement('video'));
		video.srcObject = new MediaStream([...(video.srcObject?.getTracks() ?? []), ...streams.map(s => s.mediaStreamTrack)]);
		video.parentNode.dataset.user = who.userId;
		video.play();
	});
	await stage.join();
	hear(token, chat);
	window.say = text => fetch(chat, {method: 'POST', headers: {Authorization: 'Bearer ' + token, 'Content-Type': 'application/json'}, body: JSON.stringify({text})}).then(r => r.status);
}
async function hear(token, chat) {
	const answer = await fetch(chat.replace(/chat$/, 'events'), {headers: {Authorization: 'Bearer ' + token}});
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	for (;;) {
		const {done, value} = await reader.read();
		if (done) return;
		document.getElementById('chat').textContent += value;
	}
}
</script>`

// application serves the guests' page.
func application(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/amazon-ivs-web-broadcast.js" {
			http.ServeFile(w, r, stockSDK)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(guestPage))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestAnEveningWithGuests runs the main use case of Stagedoor, on a local stage and on an AWS
// stage.
func TestAnEveningWithGuests(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"local", "aws"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			app := application(t)
			flags := []string{"--allow-origins", app, "--ivs-sdk", sdkFrom(t, stockSDK)}
			if kind == "aws" {
				flags = append(flags, "--ivs-region", "us-west-2", "--ivs-endpoint",
					apptest.Emulate(t))
			}
			h := open(t, flags...)
			arn := h.ana.MainStage()
			if kind == "aws" {
				arn = string(h.studio(t).ARN)
			}
			evening(t, h, app, arn)
		})
	}
}

// TestGuestsOfAnyName: in IVS, a token may have any user ID or none, and two people may have the
// same name.
func TestGuestsOfAnyName(t *testing.T) {
	t.Parallel()
	emulator := apptest.Emulate(t)
	h := open(t, "--ivs-region", "us-west-2", "--ivs-endpoint", emulator, "--ivs-sdk",
		sdkFrom(t, stockSDK))
	studio := h.studio(t)
	amazon := ivsrealtime.New(ivsrealtime.Options{
		Region: "us-west-2", BaseEndpoint: &emulator,
		Credentials: credentials.NewStaticCredentialsProvider(apptest.AccessKey, apptest.SecretKey,
			""),
	})
	var endpoint web.Token
	h.bea.Must(http.StatusCreated, "POST", "/api/tokens",
		map[string]any{"stage": studio.ARN, "for": "publish"}, &endpoint)
	join := func(user *string) *rtcpeer.Publisher {
		made, err := amazon.CreateParticipantToken(t.Context(),
			&ivsrealtime.CreateParticipantTokenInput{
				StageArn: aws.String(string(studio.ARN)), UserId: user,
				Attributes: map[string]string{"name": "Guest"},
			})
		if err != nil {
			t.Fatal(err)
		}
		p, err := rtcpeer.Publish(t, rtcpeer.HTTP(endpoint.Endpoint, *made.ParticipantToken.Token),
			rtcpeer.PublishOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	obs := fakeobs.Start(t, fakeobs.Options{Password: "secret"})
	page := h.dock(browser.OBS31, "ana", browser.Options{Width: 460})
	choose(page, studio)
	connect(page, obs)
	open := func(name string) *browser.Page {
		_, settings, _ := obs.Input(name)
		if settings == nil {
			t.Fatalf("there is no source %q in OBS", name)
		}
		source := browser.Open(t, browser.OBS30, browser.Options{Width: 640, Height: 360})
		source.Goto(settings["url"].(string))
		return source
	}

	t.Log("a participant without a user ID")
	nobody := join(nil)
	page.Click(`article[data-user=""] .i-add`)
	page.WaitText("Guest is in the scene “Scene” now.")
	first := open("Stagedoor: Guest")
	shows(first, 1)
	page.WaitFor(`document.querySelector('.keys')?.innerText.includes('Guest')`)

	t.Log("a participant whose user ID must be escaped in addresses and selectors; both are " +
		"called Guest")
	join(aws.String(`Zoë "x" <b>/../?#%20 👩‍🚀`))
	page.WaitVisible(`article[data-user^="Zoë"]`)
	page.WaitNoText("Guest is in the scene")
	page.Click(`article[data-user^="Zoë"] .i-add`)
	page.WaitText("Guest is in the scene “Scene” now.")
	second := open("Stagedoor: Guest 2")
	shows(second, 1)
	shows(first, 1)

	t.Log("each source shows its own guest")
	nobody.Close()
	transparent(first)
	shows(second, 1)
}

func evening(t *testing.T, h *harness, app, arn string) {
	token := func(who *apptest.Client, use string) (token web.Token) {
		who.Must(http.StatusCreated, "POST", "/api/tokens",
			map[string]any{"stage": arn, "for": use}, &token)
		return token
	}
	t.Log("Ana is on the air from OBS; Bea comes with the stock SDK in a browser")
	live := token(h.ana, "publish")
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(live.Endpoint, live.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	guest := browser.Open(t, browser.Current, browser.Options{FakeMedia: true})
	guest.Goto(app)
	chat, _ := json.Marshal(h.URL + "/api/stages/" + url.PathEscape(arn) + "/chat")
	guest.Eval(`join('`+token(h.bea, "").Token+`', `+string(chat)+`)`, nil)
	anas := `div.who[data-user="` + string(h.ana.Me().ID) + `"]`
	moves(guest, anas)

	t.Log("Ana sees and hears Bea in the dock, and sees when Bea mutes")
	page := h.dock(browser.OBS31, "ana", browser.Options{Width: 460})
	if arn != h.ana.MainStage() {
		page.Eval(`(select => { select.value = '`+arn+`'; select.dispatchEvent(new Event('change')); })(document.querySelector('.bar select'))`, nil)
	}
	moves(page, tile(h.bea))
	loud(page, tile(h.bea))
	guest.Eval(`microphone.setMuted(true)`, nil)
	page.WaitVisible(tile(h.bea) + ` .tag.warn`)
	guest.Eval(`microphone.setMuted(false)`, nil)
	page.WaitGone(tile(h.bea) + ` .tag.warn`)

	t.Log("one click adds Bea to the scene")
	obs := fakeobs.Start(t, fakeobs.Options{Password: "secret"})
	connect(page, obs)
	page.ClickText("Add bea to the current scene")
	page.WaitText("bea is in the scene “Scene” now.")
	_, settings, _ := obs.Input("Stagedoor: bea")
	source := browser.Open(t, browser.OBS30, browser.Options{Width: 640, Height: 360})
	source.Goto(settings["url"].(string))
	shows(source, 1)

	t.Log("Ana and Bea chat")
	page.Type("#say", "Welcome, Bea")
	page.Press("Enter")
	guest.WaitText("Welcome, Bea")
	var status int
	guest.Eval(`say('Hello, Ana')`, &status)
	if status != http.StatusCreated {
		t.Errorf("the guest's message: got %d, want 201", status)
	}
	page.WaitText("Hello, Ana")

	t.Log("Bea closes her tab: she leaves the dock and the picture")
	guest.Goto("about:blank")
	page.WaitGone(tile(h.bea))
	transparent(source)
}
