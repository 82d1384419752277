<?php
// Publish an event from PHP, with php-zmq (Debian: php-zmq). php publish.php [TEXT]

$request = ["op" => "publish", "event" => "greeting",
            "data" => ["from" => "PHP", "text" => $argv[1] ?? "hello"]];

$broker = new ZMQSocket(new ZMQContext(), ZMQ::SOCKET_REQ);
$broker->setSockOpt(ZMQ::SOCKOPT_RCVTIMEO, 5000);
$broker->setSockOpt(ZMQ::SOCKOPT_LINGER, 0);
$broker->connect(getenv("SSECAST_COMMANDS") ?: "tcp://127.0.0.1:5570");
$broker->send(json_encode($request));
$reply = $broker->recv(); // false after five seconds without an answer
echo $reply ?: "no answer", "\n";
exit((json_decode($reply ?: "{}")->ok ?? false) ? 0 : 1);
