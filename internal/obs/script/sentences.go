package script

var languages = []string{"en", "de", "es"}

// sentences are the texts that the script shows in its pane and writes to OBS's log.
var sentences = []struct {
	key  string
	text [3]string
}{
	{"about", [3]string{
		"Keeps the dock “Stagedoor” in OBS, and OBS's WebSocket server on for it. " +
			"Press “Undo” before you remove this script: it takes everything back.",
		"Hält das Dock „Stagedoor“ in OBS bereit und dafür den WebSocket-Server von OBS an. " +
			"Drücke „Rückgängig machen“, bevor du dieses Skript entfernst: Es nimmt alles zurück.",
		"Mantiene el panel «Stagedoor» en OBS y, para él, activo el servidor WebSocket de OBS. " +
			"Pulsa «Deshacer» antes de quitar este script: lo deshace todo.",
	}},
	{"restart", [3]string{
		"Done. Close OBS and start it again: then the dock “Stagedoor” is there.",
		"Fertig. Schließe OBS und starte es wieder: dann ist das Dock „Stagedoor“ da.",
		"Listo. Cierra OBS y vuelve a abrirlo: entonces aparece el panel «Stagedoor».",
	}},
	{"ready", [3]string{
		"OBS is paired. The dock “Stagedoor” is in the menu Docks.",
		"OBS ist gekoppelt. Das Dock „Stagedoor“ steht im Menü Docks.",
		"OBS está emparejado. El panel «Stagedoor» está en el menú Paneles.",
	}},
	{"undone", [3]string{
		"Everything is taken back. Close OBS; after that you can remove this script.",
		"Alles ist zurückgenommen. Schließe OBS; danach kannst du dieses Skript entfernen.",
		"Todo se ha deshecho. Cierra OBS; después puedes quitar este script.",
	}},
	{"older", [3]string{
		"A newer script of this Stagedoor is in this OBS. Remove this one.",
		"Ein neueres Skript dieses Stagedoor ist in diesem OBS. Entferne dieses hier.",
		"En este OBS hay un script más reciente de este Stagedoor. Quita este.",
	}},
	{"too_old", [3]string{
		"This OBS is too old: WHIP came with OBS 30. Update OBS. Nothing was changed.",
		"Dieses OBS ist zu alt: WHIP kam mit OBS 30. Aktualisiere OBS. Nichts wurde geändert.",
		"Este OBS es demasiado antiguo: WHIP llegó con OBS 30. Actualízalo. No se cambió nada.",
	}},
	{"no_whip", [3]string{
		"This OBS was built without WHIP, as the packages of Ubuntu and Debian are. " +
			"Install OBS from Flathub or obsproject.com. Nothing was changed.",
		"Dieses OBS wurde ohne WHIP gebaut, wie die Pakete von Ubuntu und Debian. " +
			"Installiere OBS von Flathub oder obsproject.com. Nichts wurde geändert.",
		"Este OBS se compiló sin WHIP, como los paquetes de Ubuntu y Debian. " +
			"Instala OBS desde Flathub u obsproject.com. No se cambió nada.",
	}},
	{"no_websocket", [3]string{
		"This OBS has no WebSocket server (obs-websocket). Nothing was changed.",
		"Dieses OBS hat keinen WebSocket-Server (obs-websocket). Nichts wurde geändert.",
		"Este OBS no tiene servidor WebSocket (obs-websocket). No se cambió nada.",
	}},
	{"no_docks", [3]string{
		"This OBS has no browser docks. Open {server}/dock in a browser on this computer. The " +
			"password is under Tools → WebSocket Server Settings → Show Connect Info.",
		"Dieses OBS hat keine Browser-Docks. Öffne {server}/dock in einem Browser auf diesem " +
			"Computer. Das Passwort steht unter Werkzeuge → WebSocket-Servereinstellungen → " +
			"Verbindungsinformationen anzeigen.",
		"Este OBS no tiene paneles de navegador. Abre {server}/dock en un navegador de este " +
			"ordenador. La contraseña está en Herramientas → Ajustes del servidor WebSocket → " +
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
			"en un navegador de este ordenador; la contraseña está en Herramientas → Ajustes " +
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
			"ordenador puede controlar OBS. Marca «Habilitar autenticación» en Herramientas → " +
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
