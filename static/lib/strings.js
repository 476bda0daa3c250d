/**
 * Every text that a person reads. English is the source; the other languages lie beside it and are loaded when the browser asks
 * for them. A test finds what is missing and what nobody says.
 */

export const en = {
  // everywhere
  'app': 'Stagedoor',
  'app.loading': 'One moment…',
  'app.offline': 'The server does not answer. This page keeps trying.',
  'app.again': 'Try again',
  'app.cancel': 'Cancel',
  'app.copy': 'Copy',
  'app.copied': 'Copied',
  'app.select': 'Press Ctrl+C (on a Mac ⌘C) to copy',
  'app.show': 'Show',
  'app.hide': 'Hide',
  'app.save': 'Save',
  'app.menu': 'Menu',
  'app.theme': 'Look',
  'app.theme.auto': 'as the system',
  'app.theme.dark': 'dark',
  'app.theme.light': 'light',
  'app.done': 'Done',
  'tab.label': 'Tabs of the dock',
  'tab.broadcast': 'Broadcast',
  'tab.people': 'People',
  'tab.failed': 'This part of the page could not be loaded. Is the server running, and are you online? If another try does not help, reload the page.',
  'menu.account': 'Account',
  'menu.watch': 'Watch the stage',
  'menu.dock': 'Dock',
  'menu.operator': 'Operator’s page',
  'menu.signOut': 'Sign out',
  'api.unreachable': 'The server does not answer. Is it running, and are you online?',
  'api.timeout': 'The server took too long to answer. Try again.',
  'api.failed': 'The server answered with an error ({code}).',

  // signing in
  'sign.title': 'Sign in',
  'sign.name': 'Name',
  'sign.password': 'Password',
  'sign.in': 'Sign in',
  'sign.expired': 'You were signed out. Sign in again.',
  'sign.forgot': 'No password yet, or forgotten? Ask your operator for an invite link.',
  'setup.title': 'Welcome to Stagedoor',
  'setup.lead': 'Choose the name and the password of the operator. The operator invites the broadcasters.',
  'setup.go': 'Make the operator',
  'setup.noCode': 'This page needs the link that the server printed when it started.',
  'invite.title': 'You are invited',
  'invite.hello': 'Hello {name}. Choose a password, and you can go on.',
  'invite.go': 'Set password',
  'invite.noCode': 'This page needs the invite link that your operator sent you.',
  'password.new': 'New password',
  'password.repeat': 'The same again',
  'password.rule': 'At least 10 characters. A few words are easier to remember than one odd one.',
  'password.differ': 'The two passwords differ.',
  'password.short': 'The password has fewer than 10 characters.',

  // start page
  'start.lead': 'Bring your broadcast from OBS onto the stage.',
  'start.dock': 'Open the dock',
  'start.dockHow': 'In OBS: menu Docks → Custom Browser Docks…, any name, and this address:',
  'start.watch': 'Watch the stage',
  'start.operator': 'Invite people, look after stages',
  'start.account': 'Password and access keys',

  // the dock: finding OBS
  'obs.title': 'Connect to OBS',
  'obs.connecting': 'Looking for OBS…',
  'obs.off': 'OBS is not reachable.',
  'obs.how.0': 'Start OBS on this computer.',
  'obs.how.1': 'In its menu open Tools → WebSocket Server Settings.',
  'obs.how.2': 'Tick “Enable WebSocket server” and press OK.',
  'obs.how.3': '“Show Connect Info” there shows the port and the password.',
  'obs.needsPassword': 'OBS is there. It wants its WebSocket password.',
  'obs.wrongPassword': 'OBS did not take that password. In OBS: Tools → WebSocket Server Settings → Show Connect Info.',
  'obs.kicked': 'OBS ended this connection: somebody pressed “Kick” in its WebSocket settings.',
  'obs.starting': 'OBS is still starting…',
  'obs.lost': 'OBS has gone. As soon as it runs again, this page finds it.',
  'obs.unsupported': 'The WebSocket server of this OBS speaks another version than this page. Stagedoor needs OBS 30 or later: update OBS.',
  'obs.other_computer': 'Connect to the OBS on this computer only: browsers do not let a web page speak to OBS on another one. Open this page on the computer where OBS runs.',
  'obs.blocked': 'Your browser does not let this page reach programs on this computer. Click the icon left of the address, allow “Local network access” (or “Apps on device”) and try again. Or open this page as a dock inside OBS.',
  'obs.insecure': 'Your browser lets only https pages of their own reach programs on this computer. Open this page by https in a tab, or as a dock inside OBS.',
  'obs.ask': 'Your browser will ask whether this page may reach programs on this computer: choose “Allow”.',
  'obs.badAddress': 'This is not an address. For OBS on this computer it is 127.0.0.1:4455.',
  'obs.address': 'Address and port',
  'obs.password': 'WebSocket password',
  'obs.remember': 'Remember the password on this computer',
  'obs.connect': 'Connect',
  'obs.reconnect': 'Connect again',
  'obs.retry': 'Look again now',
  'obs.disconnect': 'Disconnect',
  'obs.forget': 'Forget the password',
  'obs.connected': 'Connected to OBS {version}',
  'obs.readFailed': 'The settings of OBS could not be read: {message}',
  'obs.timeout': 'OBS did not answer in time. Does a window in OBS ask something?',
  'obs.closed': 'OBS is not connected (any more): look whether it runs, and connect again.',

  // the dock: what OBS has set
  'check.title': 'OBS is not ready for the stage yet',
  'check.lead': 'This is what “Set up OBS” changes. It makes a profile of its own, so your settings stay as they are.',
  'check.blockedTitle': 'One thing only you can do',
  'check.go': 'Set up OBS',
  'check.anyway': 'Go live as it is',
  'check.reading': 'Looking at OBS’s settings…',
  'check.section': 'What OBS has set',
  'check.yours': 'What only you can set',
  'check.fine': '{n} settings are fine',
  'check.again': 'Look again',
  'check.backTo': 'Back to my profile “{profile}”',
  'check.backDone': 'OBS is back on your profile “{profile}”.',
  'check.stream': 'While OBS streams, its settings stay untouched.',
  'level.fix': 'will be changed',
  'level.person': 'for you',
  'level.ok': 'fine',
  'find.whip.ok': 'OBS {version} can speak WHIP.',
  'find.whip.old': 'OBS {version} is too old: WHIP came with OBS 30. Update OBS; the token by hand works in other WHIP programs meanwhile.',
  'find.whip.missing': 'This OBS was built without WHIP, as the packages of Ubuntu and Debian (.deb, PPA) are. Install OBS from Flathub (Flatpak) or from obsproject.com.',
  'find.mode.simple': 'The output mode is Simple.',
  'find.mode.advanced': 'The output mode is Advanced.',
  'find.mode.fix': 'The output mode is Advanced, whose encoder settings cannot be set from here. “{ours}” is made in Simple mode.',
  'find.mode.theirs': 'The output mode is Advanced. “{ours}” has a mode of its own, which stays.',
  'find.profile.ok': 'The profile “{profile}” is used.',
  'find.profile.create': 'A new profile “{ours}” is made; “{profile}” stays as it is.',
  'find.profile.select': 'The profile “{ours}” is selected, with the output mode that is set there; “{profile}” stays as it is.',
  'find.service.ok': 'The service is WHIP.',
  'find.service.other': 'OBS streams to “{service}”. The service becomes WHIP.',
  'find.service.none': 'OBS does not know yet where to stream to. The service becomes WHIP.',
  'find.service.name': 'The settings window of OBS does not know that this is WHIP, and would overwrite it. It is told.',
  'find.audio.ok': 'Sound is encoded as Opus.',
  'find.audio.aac': 'Sound is encoded as AAC, which no viewer would hear. It becomes Opus.',
  'find.audioBitrate.ok': 'Sound has {kbits} kb/s.',
  'find.audioBitrate.high': 'Sound has {kbits} kb/s; Opus does not start above 256. It becomes {wanted}.',
  'find.encoder.ok': 'Video is encoded by x264 (H.264).',
  'find.encoder.advanced': 'Video is encoded by {encoder}.',
  'find.encoder.apple': 'Apple’s encoder makes B-frames, which stutter on a stage. Video becomes x264.',
  'find.encoder.codec': 'The video encoder “{encoder}” does not make H.264, the only codec that stages take. It becomes x264.',
  'find.encoder.hardware': 'The encoder “{encoder}” sends a full picture only every 8 seconds, so viewers would wait for theirs. Video becomes x264.',
  'find.keyframes.ok': 'A full picture (keyframe) comes every {seconds} s.',
  'find.keyframes.far': 'A full picture (keyframe) comes only every {seconds} s, so viewers would wait for theirs. It becomes every {wanted} s.',
  'find.keyframes.advanced': 'In Advanced mode only you can see these: Settings → Output → Streaming: Keyframe Interval 1 or {wanted} s (not 0), bitrate up to {bitrate} kb/s.',
  'find.bframes.ok': 'No B-frames.',
  'find.bframes.set': 'The x264 options ask for B-frames, which stutter on a stage. They are switched off.',
  'find.bframes.apple': 'Apple’s encoder makes B-frames, which stutter on a stage: Settings → Output → Streaming: untick “Use B-Frames”.',
  'find.bframes.ignored': 'OBS is told to ignore what the service needs (no B-frames). It will heed it.',
  'find.bitrate.ok': 'Video has {kbits} kb/s.',
  'find.bitrate.high': 'Video has {kbits} kb/s, more than the stage advises. It becomes {wanted}.',
  'find.bitrate.forbidden': 'Video has {kbits} kb/s; above {most} the stage ends the broadcast. It becomes {wanted}.',
  'find.resolution.ok': 'The picture is {width}×{height}.',
  'find.resolution.large': 'The picture is {width}×{height}; the stage takes even sizes up to {most}p. It becomes {w}×{h}.',
  'find.fps.ok': '{fps} pictures a second.',
  'find.fps.odd': '{fps} pictures a second; the stage takes 10 to 60. They become 30.',
  'find.reconnect.ok': 'After a break OBS reconnects by itself.',
  'find.reconnect.off': 'OBS does not reconnect after a break. It will.',
  'find.retryDelay': 'After a break OBS waits for {seconds} s before it calls again, and viewers with it. It becomes {wanted} s.',
  'find.delay.ok': 'There is no stream delay.',
  'find.delay': 'A stream delay is set, so you would answer others late. It is switched off.',
  'find.layers.ok': 'One picture size is sent.',
  'find.layers.many': 'OBS sends {layers} picture sizes at once (simulcast). It becomes one.',
  'find.layers.multitrack': 'OBS’s multitrack video is on, which is for another service. It is switched off.',
  'find.account.ok': 'No other account is linked with this profile.',
  'find.account.linked': 'This profile is linked with {account}, which writes its own key at every start. The profile “{ours}” is not.',
  'find.account.ours': 'The profile is linked with {account}, which writes its own key at every start. Disconnect the account in Settings → Stream.',
  'find.busy.stream': 'OBS is streaming. Stop the stream first; its settings stay untouched until then.',
  'find.busy.record': 'OBS is recording. Stop the recording first: OBS takes new settings only when nothing runs.',
  'find.busy.replay': 'The replay buffer runs. Stop it first: OBS takes new settings only when nothing runs.',
  'find.busy.camera': 'The virtual camera runs. Stop it first: OBS takes new settings only when nothing runs.',

  // the dock: setting up
  'setup.running.title': 'Setting up OBS…',
  'setup.step.check': 'Looking at what is set',
  'setup.step.profile': 'Selecting the profile “Stagedoor”',
  'setup.step.settings': 'Video, sound and encoder',
  'setup.step.service': 'WHIP and your token',
  'setup.step.rebuild': 'Letting OBS take them over',
  'setup.step.verify': 'Reading everything back',
  'setup.done': 'OBS is set up.',
  'setup.unchanged': 'Everything was set already.',
  'setup.failedTitle': 'OBS was not set up',
  'setup.undone': 'Everything is as it was before.',
  'setup.notUndone': 'Not everything could be put back: look at the profile in OBS’s menu Profile.',
  'setup.notKept': 'OBS did not keep one of the settings: {what} Does a plug-in or another program change it? Switch that off and try again.',
  'setup.profile': 'OBS did not select the profile “{profile}”. Does a window in OBS ask something? Answer it there and try again.',
  'setup.running': 'An output of OBS was started meanwhile, and OBS refused (error 500). Stop the stream, the recording, the replay buffer and the virtual camera, and try again.',
  'setup.timeout': 'OBS did not answer in time. Does a window in OBS ask something? Answer it there and try again.',
  'setup.closed': 'OBS closed the connection while it was set up. Set it up again when it is back.',
  'setup.failed': 'OBS refused: {message}. Try again; if that does not help, restart OBS.',
  'setup.noOther': 'There is no other profile to go back to.',

  // the dock: going live
  'live.stage': 'Stage',
  'live.noStage': 'You may not publish on any stage yet. Ask your operator for one; this page shows it at once.',
  'live.ready': 'OBS is ready',
  'live.tokenUntil': 'The token in OBS is valid until {time}.',
  'live.tokenLater': 'A fresh token is put into OBS when you go live.',
  'live.go': 'Go live',
  'live.again': 'Go live again',
  'live.stop': 'Stop',
  'live.starting': 'Calling the stage…',
  'live.renewing': 'The token was no longer good. Putting a fresh one into OBS…',
  'live.step.token': 'Getting a token',
  'live.step.settings': 'Putting it into OBS',
  'live.step.obs': 'OBS calls the stage',
  'live.step.stage': 'Waiting for picture and sound to arrive',
  'live.live': 'LIVE',
  'live.since': 'since {time}',
  'live.reconnecting': 'Reconnecting…',
  'live.reconnectingText': 'OBS has lost the stage and calls again by itself.',
  'live.stopping': 'Stopping…',
  'live.trouble': 'Not live',
  'live.troubleSending': 'OBS is sending, but…',
  'live.sendingTitle': 'OBS is streaming',
  'live.dying': 'The token ends at {time}. The broadcast goes on, but OBS could not reconnect after that. Stop and go live again at the next pause.',
  'live.notOurs': 'OBS is not set to the stage any more. Set it up again.',
  'live.running': 'OBS is streaming already and refused (error 500). Press Stop, then go live again.',
  'live.obsGone': 'The connection to OBS was lost on the way. Go live again when OBS is back.',
  'live.obsSilent': 'OBS did not answer in time. Look at OBS: does a window there ask something?',
  'live.failed': 'OBS refused: {message}. Try again; if that does not help, restart OBS.',
  'live.silent': 'OBS did not start the stream and does not say why. Look at OBS: a message may be open there.',
  'live.unreachable': 'OBS could not reach the stage, which has not heard from it. Is the stage’s address reachable from this computer, and its certificate trusted?',
  'live.lostAtOnce': 'The stage answered OBS, but the connection ended before picture or sound came. A firewall may hold back UDP: try another network, such as a phone’s; or OBS’s log says why.',
  'live.notKept': 'OBS did not keep the endpoint and the token that it was given. A linked account or another program changes them: press “Set up OBS”, or switch that off, and try again.',
  'live.noMedia': 'OBS is connected, but no picture or sound arrives at the stage. A firewall may hold back UDP: try another network, such as a phone’s, or ask whoever looks after this one.',
  'live.ended': 'The broadcast ended, and neither OBS nor the stage says why. The network may have been gone.',
  'live.obsEnded': 'The connection to OBS broke while you were live, and OBS does not stream any more: it was closed, or it crashed.',
  'live.forgotten': 'The server was restarted and does not know your broadcast. It is being started again…',
  'live.serverGone': 'The server went away, and the broadcast ended with it. When the server is back, the broadcast is started again.',
  'live.wontStop': 'OBS does not stop. Press “Stop Streaming” in OBS itself; if that does not help either, quit OBS.',
  'live.otherToken': 'OBS is streaming with a token that this dock did not put there. To go live from here, stop that stream first.',
  'live.elsewhere': 'OBS is streaming to another service. To go live from here, stop that stream first.',
  'live.setUpAgain': 'Set up OBS again',
  'live.stopAndSetUp': 'Stop, then set up OBS again',
  'live.dismiss': 'OK',

  // the dock: numbers, each with a no-break space before its unit
  'numbers.sent': 'Sent by OBS',
  'numbers.encoder': 'Encoder lag',
  'numbers.render': 'Rendering lag',
  'numbers.viewers': 'Viewers',
  'numbers.people': 'On the stage',
  'numbers.receives': 'The stage receives',
  'numbers.waiting': 'being measured…',
  'numbers.video': '{width}×{height}, {fps} fps, {mbits} Mb/s',
  'numbers.codec': '{codec} {profile}, full picture every {seconds} s',
  'numbers.codecOnly': '{codec} {profile}',
  'numbers.audio': '{codec}, {kbits} kb/s',
  'numbers.loss': '{percent} % lost',
  'numbers.mbits': '{mbits} Mb/s',
  'numbers.percent': '{percent} %',
  'wrong.nothing': 'OBS sends, but the stage receives nothing. A firewall may hold back UDP: try another network, such as a phone’s, or ask whoever looks after this one.',
  'wrong.notOpus': 'Nobody can hear you: OBS sends sound that is not Opus.',
  'wrong.noVideo': 'The stage receives no picture: does OBS show one, and is its video encoder running?',
  'wrong.noAudio': 'The stage receives no sound: look at the mixer in OBS, and that a track is ticked for the stream.',
  'wrong.bitrate': 'The picture has {mbits} Mb/s; the stage takes at most {most}.',
  'wrong.height': 'The picture is {height}p; the stage takes at most {most}p.',
  'wrong.bFrames': 'The picture has B-frames and may stutter for viewers.',
  'wrong.keyframes': 'A full picture comes only every {seconds} s (at most {most} s is right): new viewers wait for it.',
  'wrong.loss': '{percent} % of what OBS sends gets lost on the way. Is another program using the line? A cable is better than Wi-Fi.',
  'wrong.encoderLag': 'This computer encodes too slowly: {percent} % of the pictures are left out. Close other programs.',
  'wrong.renderLag': 'This computer draws the scene too slowly: {percent} % of the pictures are left out. Close other programs.',

  // the dock: two places at once
  'docks.same': 'Another dock of yours is open on the same OBS. Close one of them.',
  'docks.other': 'You have another dock open ({where}, since {time}).',
  'docks.live': 'You are live from another place already ({where}). Going live here makes a second broadcast.',
  'docks.inObs': 'in OBS',
  'docks.inBrowser': 'in a browser',

  // the dock: by hand
  'hand.title': 'By hand',
  'hand.lead': 'For any WHIP program: Settings → Stream → Service WHIP, then these two.',
  'hand.get': 'Get a token',
  'hand.server': 'Server (endpoint)',
  'hand.token': 'Bearer token',
  'hand.until': 'Valid until {time}. Whoever has the token can publish as you.',
  'hand.hide': 'Clear',

  // watching
  'watch.title': 'On the stage',
  'watch.nobody': 'Nobody is on the stage now. This page shows them as soon as they come.',
  'watch.noStage': 'You may not watch any stage yet. Ask your operator for one.',
  'watch.sound': 'Switch the sound on',
  'watch.mute': 'Switch the sound off',
  'watch.connecting': 'Connecting…',
  'watch.retrying': 'The picture broke off. Connecting again…',
  'watch.failed': 'This broadcast cannot be played: {message}',
  'watch.muted': 'sound off',
  'watch.you': 'you',
  'watch.viewers': '{n} watching',

  // account
  'account.title': 'Account',
  'account.signedInAs': 'Signed in as {name} ({role}).',
  'account.role.operator': 'operator',
  'account.role.broadcaster': 'broadcaster',
  'account.password': 'Change the password',
  'account.current': 'Password now',
  'account.endKeys': 'Also end my access keys, browser sources and open tokens, a running broadcast too: somebody else may have them.',
  'account.change': 'Change',
  'account.changed': 'The password is changed. You were signed out everywhere else.',
  'account.logins': 'Where you are signed in',
  'account.everywhere': 'Signed in on a computer that is not yours? Sign out everywhere, here too. Docks ask for the password then; a broadcast goes on.',
  'account.signOutAll': 'Sign out everywhere',
  'account.keys': 'Access keys',
  'account.keysLead': 'A key lets a program, such as “stagedoor obs live”, get tokens in your name. It can do nothing else.',
  'account.keyName': 'What is it for?',
  'account.keyMake': 'Make a key',
  'account.keyOnce': 'Copy the key now. It is shown this once.',
  'account.keyRevoke': 'Revoke',
  'account.keyUsed': 'made {made}, last used {used}',
  'account.keyNever': 'made {made}, never used',
  'account.noKeys': 'You have no access keys.',
  'account.tokens': 'Tokens of the last 14 days',

  // operator
  'op.title': 'Operator',
  'op.denied': 'This page is for operators.',
  'op.people': 'People',
  'op.stages': 'Stages',
  'op.tokens': 'Tokens',
  'op.invite': 'Invite',
  'op.inviteName': 'Name of the broadcaster',
  'op.asOperator': 'as an operator, too',
  'op.inviteLink': 'Send this link to {name}. It is shown this once and is good until {time}.',
  'op.invited': 'invited, no password yet',
  'op.seen': 'last seen {time}',
  'op.never': 'never seen',
  'op.newLink': 'New link',
  'op.signOut': 'Sign out',
  'op.remove': 'Remove',
  'op.sureRemove': 'Remove {name} with all logins and tokens?',
  'op.sureStage': 'Remove the stage “{name}”? Everybody on it is disconnected.',
  'op.sure': 'Yes, do it',
  'op.grants': 'May go onto',
  'op.noGrants': 'no stage yet',
  'op.grant': 'Let on',
  'op.ungrant': 'Take off',
  'op.publish': 'publish',
  'op.subscribe': 'watch',
  'op.longest': 'tokens up to',
  'op.hours': '{n} hours',
  'op.days': '{n} days',
  'op.hoursLabel': 'hours',
  'op.all': 'everything, being an operator',
  'op.nobody': 'Nobody is on it.',
  'op.kick': 'Disconnect',
  'op.kickReason': 'Reason, shown to them',
  'op.limits': 'Limits',
  'op.maxHeight': 'Highest picture (lines)',
  'op.advised': 'Advised bit rate (kb/s)',
  'op.most': 'Highest bit rate (kb/s)',
  'op.keyframes': 'Full picture at least every (s)',
  'op.stageName': 'Name of the stage',
  'op.addStage': 'Add a stage',
  'op.served.local': 'served here',
  'op.served.aws': 'on Amazon IVS',
  'op.issued': 'Tokens: {why}',
  'op.sessions': 'Latest sessions',
  'op.noSessions': 'Nobody was on it yet.',
  'op.sessionNow': 'since {from}',
  'op.session': '{from} – {to}',
  'op.unknown': 'It is not known who is on it. {why}',
  'op.sureAWS': 'Remove the stage “{name}” here? Whoever Stagedoor let on is disconnected. At AWS the stage stays.',
  'op.aws': 'Stages on Amazon IVS',
  'op.awsNone': 'To serve stages of Amazon IVS, start Stagedoor with --ivs-region and AWS credentials.',
  'op.awsAsking': 'Asking AWS…',
  'op.awsLead': 'These stages are in your AWS account ({regions}).',
  'op.awsEmpty': 'There are no stages in your AWS account ({regions}) yet.',
  'op.awsTrouble': 'The stages in {region} cannot be listed. Add one by its ARN, or make one.',
  'op.awsAll': 'All of them are here already.',
  'op.awsAdd': 'Add',
  'op.awsByArn': 'Add by ARN',
  'op.awsArn': 'ARN of a stage',
  'op.awsMake': 'Make at AWS',
  'op.awsName': 'Name of the new stage',
  'op.awsRegion': 'Region',
  'op.saved': 'Saved.',
  'op.revoke': 'Revoke',
  'op.revoked': 'revoked',
  'op.expired': 'expired',
  'op.until': 'until {time}',
  'op.noTokens': 'No tokens were issued.',
  'op.dock': '{where}: {state}',
  'op.dockLive': 'live',
  'op.dockObs': 'OBS {version} on {platform}, {state}',
  'op.dockNoObs': 'no OBS connected',
  'op.findings': '{n} settings to change',
  'op.state.ready': 'ready',
  'op.state.not_set_up': 'not set up',
  'op.state.password': 'waits for the password',
  'op.state.kicked': 'kicked by OBS',
  'op.state.lost': 'OBS not reachable',
  'op.state.starting': 'starting',
  'op.state.unsupported': 'too old',
  'op.state.trouble': 'in trouble',
  'op.state.setting_up': 'being set up',
  'op.state.setup_failed': 'set-up failed',
  'op.state.checking': 'being looked at',
  'op.state.no_stage': 'has no stage yet',
  'op.state.reconnecting': 'reconnecting',
  'op.state.stopping': 'stopping',
  'op.state.live': 'live',
  'op.receives': 'receives {what}',
};

/** @typedef {keyof typeof en} Key */

/** @type {Record<string, string>} */
let words = en;
let language = 'en';
/** The server's sentences in the person's language, by its codes; in English they are the server's own. @type {Record<string, string>} */
let server = {};

/**
 * Takes the first of the person's languages that we have.
 * @param {readonly string[]} wanted
 */
export async function useLanguage(wanted) {
  for (const tag of wanted) {
    const short = tag.slice(0, 2).toLowerCase();
    if (short === 'en') return;
    if (short !== 'de' && short !== 'es') continue;
    if (short === 'de') ({ de: words, server } = await import('./strings.de.js'));
    else ({ es: words, server } = await import('./strings.es.js'));
    language = short;
    document.documentElement.lang = short;
    return;
  }
}

/**
 * Adds a page's own texts, which lie beside it: English, and how the other languages are loaded.
 * @param {Record<string, string>} own @param {Record<string, () => Promise<Record<string, string>>>} others
 */
export async function addWords(own, others) {
  words = { ...words, ...own, ...(await others[language]?.()) };
}

/**
 * Says a text in the person's language.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export const t = (key, values) => fill(words[key] ?? /** @type {Record<string, string>} */ (en)[key] ?? key, values);

/** Says what may be a key, or somebody else's words. @param {string} text */
export const said = (text) => (has(text) ? t(text) : text);

/**
 * What the server said no with. Its detail is in English and may carry more than we know; the other languages go by the code.
 * @param {string} code @param {string} detail @param {number} [wait] seconds, where the server said how many
 */
export function serverSaid(code, detail, wait = 0) {
  return server[code] ? fill(server[code], { detail, wait: wait > 0 ? duration(wait) : server.later }) : detail;
}

/** @param {number} seconds */
function duration(seconds) {
  const [n, unit] = seconds < 60 ? [seconds, 'second'] : seconds < 5400 ? [seconds / 60, 'minute'] : [seconds / 3600, 'hour'];
  return new Intl.NumberFormat(language, { style: 'unit', unit: String(unit), unitDisplay: 'long' }).format(Math.ceil(Number(n)));
}

/** Says it in English, for the server. @param {string} key @param {Record<string, string | number>} [values] */
export const inEnglish = (key, values) => fill(/** @type {Record<string, string>} */ (en)[key] ?? key, values);

/** @param {string} key */
export const has = (key) => key in en;

/** @param {string} text @param {Record<string, string | number>} [values] */
const fill = (text, values = {}) => text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));

/** A time of day, with the day when it is not today. @param {string | number | Date} when */
export function time(when) {
  const date = new Date(when);
  const today = date.toDateString() === new Date().toDateString();
  /** @type {Intl.DateTimeFormatOptions} */
  const shape = today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' };
  return new Intl.DateTimeFormat(language, shape).format(date);
}

/** @param {number} seconds */
export function span(seconds) {
  const n = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ x) => String(x).padStart(2, '0');
  return `${Math.floor(n / 3600)}:${two(Math.floor((n % 3600) / 60))}:${two(n % 60)}`;
}

/** A number as the language writes it. @param {number} n */
export const number = (n) => new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(n);
