<?php
// Takes what `ssecast watch --webhook` posts, and keeps a list of the sessions that are online.
//
// The answer is a 2xx only when everything is stored: anything else, and the same batch comes
// again. So a message may come twice; its number says so.
// as `ssecast watch` reads it
$secret = rtrim(explode("\n", (string) file_get_contents(getenv('WEBHOOK_SECRET_FILE')), 2)[0],
                " \t\r");
if ($secret === '') {
    error_log('WEBHOOK_SECRET_FILE: its first line is empty, or the file cannot be read');
    http_response_code(500); // with an empty secret everybody could sign
    exit;
}
$folder = getenv('WEBHOOK_FOLDER');

$body = file_get_contents('php://input');
$signature = 'sha256=' . hash_hmac('sha256', $body, $secret);
// compares in constant time
if (!hash_equals($signature, $_SERVER['HTTP_X_SSECAST_SIGNATURE'] ?? '')) {
    http_response_code(403);
    exit;
}

$lock = fopen("$folder/lock", 'c');
flock($lock, LOCK_EX);
$known = json_decode(@file_get_contents("$folder/online.json") ?: '', true)
    ?: ['number' => 0, 'online' => []];

foreach (json_decode($body, true)['messages'] as $message) {
    if ($message['number'] <= $known['number'])
        continue; // it has come before
    $known['number'] = $message['number'];
    if ($message['type'] === 'reset')
        $known['online'] = []; // who is still there follows
    elseif ($message['type'] === 'session_online')
        $known['online'][$message['session']] = $message['at'];
    elseif ($message['type'] === 'session_offline')
        unset($known['online'][$message['session']]);
}

if (file_put_contents("$folder/online.new", json_encode($known)) === false
    || !rename("$folder/online.new", "$folder/online.json"))
    http_response_code(500);
else
    http_response_code(204);
