<?php
// A Symfony application: its container reads config/services.yaml, which looks for services in
// src/.
foreach (['DependencyInjection', 'Config', 'Yaml', 'HttpFoundation'] as $part)
    require_once "Symfony/Component/$part/autoload.php";
spl_autoload_register(function (string $class): void { // as Composer's, for "App\\": "src/"
    $file = __DIR__ . '/src/' . strtr(substr($class, 4), '\\', '/') . '.php';
    if (strncmp($class, 'App\\', 4) === 0 && is_file($file))
        include $file;
});

use App\Ssecast\SsecastPublisher;
use Symfony\Component\Config\FileLocator;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\DependencyInjection\Loader\YamlFileLoader;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\Request;

$container = new ContainerBuilder();
(new YamlFileLoader($container, new FileLocator(__DIR__ . '/config')))->load('services.yaml');
$container->getDefinition(SsecastPublisher::class)->setPublic(true);
$container->compile(true);
$ssecast = $container->get(SsecastPublisher::class);

$request = Request::createFromGlobals();
if ($request->get('action') === 'login')
    $response = $ssecast->authorize(new JsonResponse('in'), $request->get('user'), ['news'],
                                    $request->isSecure());
elseif ($request->get('action') === 'logout')
    $response = $ssecast->forget(new JsonResponse('out'), $request->isSecure());
else
    $response = new JsonResponse([
        $ssecast->publish('shipped', ['order' => 17],
                          ['to' => ['sessions' => [$request->get('user')]]]),
        $ssecast->publishAll([['text' => 'a', 'to' => ['channels' => ['news']]]])]);
$response->send();
