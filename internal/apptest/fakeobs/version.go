package fakeobs

// A Version is an OBS and the obs-websocket in it.
type Version int

// The versions between which Stagedoor sees a difference. The zero value is the newest.
const (
	OBS32_1 Version = iota
	OBS31
	OBS30_2
	OBS29
)

// A behaviour contains the differences of a version.
type behaviour struct {
	obs, websocket string
	whip           bool // since OBS 30.0
	notReady       bool // 207 since obs-websocket 5.3.0
	helloOBS       bool // obsStudioVersion in Hello since 5.6.0
	uuids          bool // inputUuid and the like since 5.4.0
	asyncCreate    bool // CreateProfile responds before it creates the profile, since 5.5.4
	// a request about the stream crashes OBS during a switch of profiles
	fragile bool
	bitrate string // SimpleOutput/VBitrate of a clean profile
}

func (v Version) behaviour() behaviour {
	switch v {
	case OBS29:
		return behaviour{obs: "29.0.2", websocket: "5.1.0", bitrate: "2500"}
	case OBS30_2:
		return behaviour{
			obs: "30.2.3", websocket: "5.5.2", whip: true, notReady: true, uuids: true,
			fragile: true, bitrate: "2500",
		}
	case OBS31:
		return behaviour{
			obs: "31.1.2", websocket: "5.6.2", whip: true, notReady: true, uuids: true,
			helloOBS: true, asyncCreate: true, fragile: true, bitrate: "6000",
		}
	default:
		return behaviour{
			obs: "32.1.2", websocket: "5.7.2", whip: true, notReady: true, uuids: true,
			helloOBS: true, asyncCreate: true, fragile: true, bitrate: "6000",
		}
	}
}

// String returns the version of OBS, such as "OBS 32.1.2".
func (v Version) String() string { return "OBS " + v.behaviour().obs }
