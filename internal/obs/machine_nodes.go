package obs

import "maps"

// nodes returns the table of states. The fact "failed" reports that an effect has failed. A state
// without a row for "failed" moves to "trouble".
func nodes() map[string]node {
	all := map[string]node{}
	for _, group := range []map[string]node{idleNodes(), startingNodes(), liveNodes(), endNodes()} {
		maps.Copy(all, group)
	}
	return all
}

type on = map[string]row

// plain makes a row from a function that needs no field of the fact.
func plain(f func(machineState) (machineState, []effect)) row {
	return func(s machineState, _ fact) (machineState, []effect) { return f(s) }
}

// idleNodes returns the states without a broadcast, and those of a client that has just connected
// to OBS.
func idleNodes() map[string]node {
	idle, stop := plain(machineState.toIdle), plain(machineState.halt)
	back, started := plain(machineState.resume), plain(machineState.foundStarted)
	return map[string]node{
		"idle": {phase: "idle", on: on{"go": begin, "refresh": refresh, "resume": back,
			"STARTED": started}},
		"refreshing": {phase: "idle", defers: []string{"go", "resume", "STARTED"},
			on: on{"refreshed": refreshed, "failed": idle}},

		// The client has just connected to OBS, or a person started the stream in OBS itself.
		"resuming": {defers: []string{"go", "STARTED", "STOPPED"},
			on: on{"status": resumed, "failed": plain(machineState.resumeFailed)}},
		"taking": {defers: []string{"go", "STOPPED", "RECONNECTING"},
			on: on{"service": taken, "stop": stop}},
	}
}

// startingNodes returns the states of going live.
func startingNodes() map[string]node {
	idle, stop := plain(machineState.toIdle), plain(machineState.halt)
	closed, over := plain(machineState.gone), plain(machineState.ended)
	looping, confirm := plain(machineState.looped), plain(machineState.confirm)
	live, hang := plain(machineState.goLive), plain(machineState.hang)
	return map[string]node{
		"asking":  {phase: "starting", step: "token", on: on{"status": asked, "stop": idle}},
		"reading": {phase: "starting", step: "token", on: on{"service": read, "stop": idle}},
		"minting": {phase: "starting", step: "token", on: on{"token": minted, "stop": idle}},
		"putting": {phase: "starting", step: "settings", on: on{"put": putIn, "stop": idle}},
		"calling": {phase: "starting", step: "obs",
			on: on{"STARTED": confirm, "STOPPED": plain(machineState.unreached),
				"timeout": plain(machineState.doubt), "stop": stop, "closed": closed}},
		"doubting": {phase: "starting", step: "obs",
			on: on{"status": doubted, "stop": stop, "closed": closed}},
		"confirming": {phase: "starting", step: "stage", on: on{
			"publishing": live, "presence": live, "ended": hang, "refused": hang,
			"RECONNECTING": looping, "STOPPED": plain(machineState.lostAtOnce),
			"timeout": plain(machineState.noMedia), "stop": stop, "closed": closed,
		}},
		"hanging": {on: on{"publishing": live, "RECONNECTED": confirm, "STOPPED": over,
			"RECONNECTING": looping, "timeout": plain(machineState.hung), "stop": stop,
			"closed": closed}},
	}
}

// liveNodes returns the states of a broadcast that is on the stage.
func liveNodes() map[string]node {
	stop, back := plain(machineState.halt), plain(machineState.resume)
	over, looping := plain(machineState.ended), plain(machineState.looped)
	confirm, live := plain(machineState.confirm), plain(machineState.goLive)
	leave, known := plain(machineState.away), plain(machineState.backLive)
	return map[string]node{
		"live": {phase: "live", on: on{
			"presence": plain(machineState.lasting), "ended": judged, "RECONNECTING": looping,
			"STOPPED": over,
			"absent":  plain(machineState.check), "stop": stop, "closed": leave, "resume": back,
		}},
		"checking": {phase: "live", defers: []string{"RECONNECTING", "STOPPED"},
			on: on{"status": checked, "failed": known, "presence": known, "stop": stop,
				"closed": leave}},
		"away": {phase: "away", on: on{"resume": back, "stop": stop}},
		"reconnecting": {phase: "reconnecting", on: on{
			"RECONNECTING": looping, "RECONNECTED": confirm, "STOPPED": over, "publishing": live,
			"ended": looping, "refused": looping,
			"stop": stop, "closed": leave, "resume": back,
		}},
	}
}

// endNodes returns the states that find out why a broadcast ended, that stop it, and that show why
// it failed.
func endNodes() map[string]node {
	idle, back := plain(machineState.toIdle), plain(machineState.resume)
	return map[string]node{
		"explaining": {defers: []string{"go"}, on: on{
			"ended": explained, "refused": explained, "claim": explained, "timeout": unexplained,
			"stop": idle, "closed": plain(machineState.obsEnded),
		}},
		"quieting": {defers: []string{"go"}, on: on{
			"stopSent": stopSent, "STARTED": plain(machineState.stopAgain),
			"STOPPED": plain(machineState.stopSeen), "timeout": plain(machineState.stopDoubted),
			"status": stopChecked, "stop": plain(machineState.stopOnly),
		}},
		"trouble": {phase: "trouble", on: on{
			"go": begin, "dismiss": idle, "resume": back,
			"stop":         whileSending(machineState.halt, machineState.toIdle),
			"STARTED":      whileSending(keep, machineState.foundStarted),
			"RECONNECTING": whileSending(machineState.looped, keep),
			"RECONNECTED":  whileSending(machineState.confirm, keep),
			"STOPPED":      whileSending(machineState.endedInTrouble, keep),
			"publishing":   whileSending(machineState.goLive, keep),
			"presence":     whileSending(machineState.goLive, keep),
			"ended":        judgedInTrouble, "refused": judgedInTrouble, "claim": explainedLate,
			"absent": plain(machineState.startOrphaned),
		}},
	}
}
