package script

var languages = []string{"en", "de", "es"}

// sentences are the texts that the script shows in its pane and writes to OBS's log.
var sentences = []struct {
	key  string
	text [3]string
}{
	{"about", [3]string{
		"Keeps the dock “Stagedoor” in OBS, and OBS's WebSocket server on for it. " +
			"Press “Undo” before you remove this script: it takes everything back, and says what " +
			"is left for you to do.",
		"Hält das Dock „Stagedoor“ in OBS bereit und dafür den WebSocket-Server von OBS an. " +
			"Drücke „Rückgängig machen“, bevor du dieses Skript entfernst: Es nimmt alles zurück " +
			"und sagt, was dir zu tun bleibt.",
		"Mantiene el panel «Stagedoor» en OBS y, para él, activo el servidor WebSocket de OBS. " +
			"Pulsa «Deshacer» antes de quitar este script: lo deshace todo y dice qué te queda " +
			"por hacer.",
	}},
	{"restart", [3]string{
		"Close OBS and start it again: then the dock “Stagedoor” is there.",
		"Schließe OBS und starte es wieder: Dann ist das Dock „Stagedoor“ da.",
		"Cierra OBS y vuelve a abrirlo: entonces aparece el panel «Stagedoor».",
	}},
	{"reopen", [3]string{
		"Close OBS and start it again.",
		"Schließe OBS und starte es wieder.",
		"Cierra OBS y vuelve a abrirlo.",
	}},
	{"ready", [3]string{
		"OBS is paired. The dock “Stagedoor” is in the menu Docks.",
		"OBS ist gekoppelt. Das Dock „Stagedoor“ steht im Menü Docks.",
		"OBS está emparejado. El panel «Stagedoor» está en el menú Paneles.",
	}},
	{"busy", [3]string{
		"OBS is streaming or recording. Stop that and press “Undo” again. Nothing was changed.",
		"OBS streamt oder nimmt auf. Beende das und drücke „Rückgängig machen“ noch einmal. " +
			"Nichts wurde geändert.",
		"OBS está emitiendo o grabando. Deténlo y pulsa «Deshacer» otra vez. No se cambió nada.",
	}},
	{"taken_back", [3]string{
		"The pairing is taken back.",
		"Die Kopplung ist zurückgenommen.",
		"El emparejamiento se ha deshecho.",
	}},
	{"others", [3]string{
		"OBS's WebSocket server and the profile “Stagedoor” stay, because another Stagedoor in " +
			"this OBS uses them. The profile has no token now: the other dock writes its own.",
		"Der WebSocket-Server von OBS und das Profil „Stagedoor“ bleiben, weil ein anderes " +
			"Stagedoor in diesem OBS sie benutzt. Das Profil hat jetzt kein Token: Das andere Dock " +
			"schreibt sein eigenes.",
		"El servidor WebSocket de OBS y el perfil «Stagedoor» se quedan, porque otro Stagedoor " +
			"de este OBS los usa. El perfil ya no tiene token: el otro panel escribe el suyo.",
	}},
	{"still_on", [3]string{
		"OBS's WebSocket server is still on: before OBS 30.2 a script cannot switch it off. " +
			"Untick “Enable WebSocket server” under Tools → WebSocket Server Settings if nothing " +
			"else needs it.",
		"Der WebSocket-Server von OBS ist noch an: Vor OBS 30.2 kann ein Skript ihn nicht " +
			"ausschalten. Entferne den Haken bei „WebSocket-Server aktivieren“ unter Werkzeuge → " +
			"WebSocket-Servereinstellungen, wenn ihn sonst nichts braucht.",
		"El servidor WebSocket de OBS sigue activo: antes de OBS 30.2 un script no puede " +
			"desactivarlo. Desmarca «Habilitar servidor WebSocket» en Herramientas → Ajustes " +
			"del servidor WebSocket si nada más lo necesita.",
	}},
	{"profile", [3]string{
		"The profile “Stagedoor” stays, without a token.",
		"Das Profil „Stagedoor“ bleibt, ohne Token.",
		"El perfil «Stagedoor» se queda, sin token.",
	}},
	{"selected", [3]string{
		"The profile “Stagedoor” is still selected, without a token: choose yours in the menu " +
			"Profile.",
		"Das Profil „Stagedoor“ ist noch ausgewählt, ohne Token: Wähle deines im Menü Profil.",
		"El perfil «Stagedoor» sigue seleccionado, sin token: elige el tuyo en el menú Perfil.",
	}},
	{"undone", [3]string{
		"Close OBS; after that you can remove this script.",
		"Schließe OBS; danach kannst du dieses Skript entfernen.",
		"Cierra OBS; después puedes quitar este script.",
	}},
	{"removable", [3]string{
		"You can remove this script.",
		"Du kannst dieses Skript entfernen.",
		"Puedes quitar este script.",
	}},
	{"undo_rest", [3]string{
		"Close OBS and run “stagedoor obs pair --undo --server {paired}” in a terminal: it takes " +
			"back what a script cannot, and takes this script out of OBS.",
		"Schließe OBS und rufe „stagedoor obs pair --undo --server {paired}“ in einem Terminal " +
			"auf: Das nimmt zurück, was ein Skript nicht kann, und nimmt dieses Skript aus OBS heraus.",
		"Cierra OBS y ejecuta «stagedoor obs pair --undo --server {paired}» en un terminal: " +
			"deshace lo que un script no puede y quita este script de OBS.",
	}},
	{"older", [3]string{
		"A newer script of this Stagedoor is in this OBS. Remove this one.",
		"Ein neueres Skript dieses Stagedoor ist in diesem OBS. Entferne dieses hier.",
		"En este OBS hay un script más reciente de este Stagedoor. Quita este.",
	}},
	{"unchanged", [3]string{
		"Nothing was changed.",
		"Nichts wurde geändert.",
		"No se cambió nada.",
	}},
	{"too_old", [3]string{
		"This OBS is too old: WHIP came with OBS 30. Update OBS.",
		"Dieses OBS ist zu alt: WHIP kam mit OBS 30. Aktualisiere OBS.",
		"Este OBS es demasiado antiguo: WHIP llegó con OBS 30. Actualízalo.",
	}},
	{"no_whip", [3]string{
		"This OBS was built without WHIP, as the packages of Ubuntu and Debian are. " +
			"Install OBS from Flathub or obsproject.com.",
		"Dieses OBS wurde ohne WHIP gebaut, wie die Pakete von Ubuntu und Debian. " +
			"Installiere OBS von Flathub oder obsproject.com.",
		"Este OBS se compiló sin WHIP, como los paquetes de Ubuntu y Debian. " +
			"Instala OBS desde Flathub u obsproject.com.",
	}},
	{"no_websocket", [3]string{
		"This OBS has no WebSocket server (obs-websocket).",
		"Dieses OBS hat keinen WebSocket-Server (obs-websocket).",
		"Este OBS no tiene servidor WebSocket (obs-websocket).",
	}},
	{"no_docks", [3]string{
		"This OBS has no browser docks. Open {server}/dock in a browser on this computer. The " +
			"password is under Tools → WebSocket Server Settings → Show Connect Info.",
		"Dieses OBS hat keine Browser-Docks. Öffne {server}/dock in einem Browser auf diesem " +
			"Computer. Das Passwort steht unter Werkzeuge → WebSocket-Servereinstellungen → " +
			"Verbindungsinformationen anzeigen.",
		"Este OBS no tiene paneles de navegador. Abre {server}/dock en un navegador de este " +
			"equipo. La contraseña está en Herramientas → Ajustes del servidor WebSocket → " +
			"Mostrar información de conexión.",
	}},
	{"wayland", [3]string{
		"OBS has no docks on Wayland. Start it with QT_QPA_PLATFORM=xcb, or open {server}/dock " +
			"in a browser on this computer; the password is under Tools → WebSocket Server " +
			"Settings → Show Connect Info.",
		"Unter Wayland hat OBS keine Docks. Starte es mit QT_QPA_PLATFORM=xcb, oder öffne " +
			"{server}/dock in einem Browser auf diesem Computer; das Passwort steht unter " +
			"Werkzeuge → WebSocket-Servereinstellungen → Verbindungsinformationen anzeigen.",
		"En Wayland OBS no tiene paneles. Ábrelo con QT_QPA_PLATFORM=xcb, o abre {server}/dock " +
			"en un navegador de este equipo; la contraseña está en Herramientas → Ajustes " +
			"del servidor WebSocket → Mostrar información de conexión.",
	}},
	{"open_server", [3]string{
		"OBS's WebSocket server asks for no password: every program that reaches this computer " +
			"can control OBS. Tick “Enable Authentication” under Tools → WebSocket Server " +
			"Settings.",
		"Der WebSocket-Server von OBS verlangt kein Passwort: jedes Programm, das diesen " +
			"Computer " +
			"erreicht, kann OBS steuern. Setze „Authentifizierung aktivieren“ unter Werkzeuge → " +
			"WebSocket-Servereinstellungen.",
		"El servidor WebSocket de OBS no pide contraseña: todo programa que llegue a este " +
			"equipo puede controlar OBS. Marca «Habilitar autenticación» en Herramientas → " +
			"Ajustes del servidor WebSocket.",
	}},
	{"enable_server", [3]string{
		"Tick “Enable WebSocket server” under Tools → WebSocket Server Settings: before OBS 30.2 " +
			"a script cannot do that.",
		"Setze „WebSocket-Server aktivieren“ unter Werkzeuge → " +
			"WebSocket-Servereinstellungen: vor " +
			"OBS 30.2 kann ein Skript das nicht.",
		"Marca «Habilitar servidor WebSocket» en Herramientas → Ajustes del servidor WebSocket: " +
			"antes de OBS 30.2 un script no puede hacerlo.",
	}},
	{"pair", [3]string{"Pair again", "Neu koppeln", "Emparejar de nuevo"}},
	{"undo", [3]string{"Undo", "Rückgängig machen", "Deshacer"}},
}
